import { createSignal } from 'solid-js';

import { api, onceKey } from '../api/client';
import type { Device } from '../api/schema';
import { t } from '../text';
import { Dialog } from './dialog';
import { Field } from './field';
import { Problem } from './problem';

/** Asks why a device is to be shut out, which is also the confirmation. */
export function Revoke(props: { device: Device; close: () => void; revoked: (device: Device) => void }) {
  const [error, setError] = createSignal<unknown>();
  const [sending, setSending] = createSignal(false);
  const key = onceKey();
  let form!: HTMLFormElement;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setSending(true);
    try {
      const reason = String(new FormData(form).get('reason'));
      props.revoked(await api.revokeDevice(props.device.id, reason, key));
      props.close();
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
    }
  };

  return (
    <Dialog title={t().devices.revokeTitle(props.device.id)} close={props.close}>
      <form ref={form} onSubmit={(event) => void submit(event)}>
        <p>{t().devices.revokeText}</p>
        <Field label={t().devices.reason}>
          {(given) => <input {...given} name="reason" dir="auto" required maxLength={80} autocomplete="off" autofocus />}
        </Field>
        <Problem error={error()} />
        <div class="buttons">
          <button type="submit" class="primary" disabled={sending()}>
            {t().devices.confirm}
          </button>
          <button type="button" onClick={() => props.close()}>{t().cancel}</button>
        </div>
      </form>
    </Dialog>
  );
}
