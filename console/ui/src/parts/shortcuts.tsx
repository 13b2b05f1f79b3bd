import { For } from 'solid-js';

import { keysEnabled, setKeysEnabled } from '../keys';
import { t } from '../text';
import { Dialog } from './dialog';

export function Shortcuts(props: { close: () => void }) {
  const keys = (): [string, string][] => [
    ['j', t().shortcuts.next],
    ['k', t().shortcuts.previous],
    ['Enter', t().shortcuts.open],
    ['/', t().shortcuts.filter],
    ['n', t().shortcuts.newTicket],
    ['p', t().shortcuts.call],
    ['c', t().shortcuts.code],
    ['t', t().shortcuts.take],
    ['h', t().shortcuts.history],
    ['q', t().shortcuts.queue],
    ['?', t().shortcuts.help],
  ];
  return (
    <Dialog title={t().shortcuts.title} close={props.close}>
      <dl class="keys">
        <For each={keys()}>
          {([key, meaning]) => (
            <div>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{meaning}</dd>
            </div>
          )}
        </For>
      </dl>
      <label class="check">
        <input type="checkbox" checked={keysEnabled()} onChange={(event) => setKeysEnabled(event.currentTarget.checked)} />
        {t().shortcuts.enabled}
      </label>
    </Dialog>
  );
}
