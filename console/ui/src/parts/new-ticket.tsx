import { For, Show, createSignal } from 'solid-js';

import { api, onceKey } from '../api/client';
import type { Channel, Level, OpenTicket } from '../api/schema';
import { navigate } from '../router';
import { t } from '../text';
import { Dialog } from './dialog';
import { Field } from './field';
import { Problem, explain, fieldOf } from './problem';

export function NewTicket(props: { close: () => void }) {
  const key = onceKey();
  const [error, setError] = createSignal<unknown>();
  const [sending, setSending] = createSignal(false);
  let form!: HTMLFormElement;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const values = new FormData(form);
    const text = (name: string) => String(values.get(name) ?? '').trim();
    const ticket: OpenTicket = {
      title: text('title'),
      customer: text('customer'),
      contact: text('contact') || null,
      description: text('description'),
      channel: text('channel') as Channel,
      impact: text('impact') as Level,
      urgency: text('urgency') as Level,
    };
    setSending(true);
    setError(undefined);
    try {
      const opened = await api.openTicket(ticket, key);
      props.close();
      navigate(`/tickets/${opened.number}`);
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
    }
  };

  const problem = (field: string) => (fieldOf(error()) === field ? explain(error()) : undefined);
  const elsewhere = () => (['title', 'customer', 'contact', 'description'].includes(fieldOf(error()) ?? '') ? undefined : error());

  return (
    <Dialog title={t().newTicket.title} close={props.close}>
      <form ref={form} onSubmit={(event) => void submit(event)}>
        <Field label={t().newTicket.what} problem={problem('title')}>
          {(given) => <input {...given} name="title" dir="auto" required maxLength={200} autocomplete="off" autofocus />}
        </Field>
        <Field label={t().newTicket.customer} problem={problem('customer')}>
          {(given) => <input {...given} name="customer" dir="auto" required maxLength={200} autocomplete="off" />}
        </Field>
        <Field label={t().newTicket.contact} problem={problem('contact')}>
          {(given) => <input {...given} name="contact" dir="auto" maxLength={200} autocomplete="off" />}
        </Field>
        <Field label={t().newTicket.description} problem={problem('description')}>
          {(given) => <textarea {...given} name="description" dir="auto" rows={3} maxLength={20_000} />}
        </Field>
        <div class="fields">
          <Select name="channel" label={t().newTicket.channel} options={{ phone: t().channels.phone, web: t().channels.web }} />
          <Select name="impact" label={t().newTicket.impact} options={t().impacts} chosen="medium" />
          <Select name="urgency" label={t().newTicket.urgency} options={t().urgencies} chosen="medium" />
        </div>
        <Show when={elsewhere()}>
          <Problem error={error()} />
        </Show>
        <div class="buttons">
          <button type="submit" class="primary" disabled={sending()}>{t().newTicket.submit}</button>
          <button type="button" onClick={() => props.close()}>{t().cancel}</button>
        </div>
      </form>
    </Dialog>
  );
}

function Select(props: { name: string; label: string; options: Record<string, string>; chosen?: string }) {
  return (
    <Field label={props.label}>
      {(given) => (
        <select {...given} name={props.name}>
          <For each={Object.entries(props.options)}>
            {([value, name]) => <option value={value} selected={value === props.chosen}>{name}</option>}
          </For>
        </select>
      )}
    </Field>
  );
}
