import { type JSX, createUniqueId, onMount } from 'solid-js';

import { t } from '../text';

/** A modal dialog of the browser's own: it keeps the focus inside and closes by Escape. */
export function Dialog(props: { title: string; close: () => void; children: JSX.Element }) {
  const id = createUniqueId();
  let dialog!: HTMLDialogElement;
  onMount(() => dialog.showModal());
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={() => props.close()}
      onClick={(event) => event.target === dialog && dialog.close()}
    >
      <div class="dialog">
        <header>
          <h2 id={id}>{props.title}</h2>
          <button type="button" class="plain" aria-label={t().close} onClick={() => dialog.close()}>
            ✕
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
