import { For, Show, createSignal } from 'solid-js';

import { api, onceKey } from '../api/client';
import type { Article, Attachment, Ticket, User, Visibility } from '../api/schema';
import { bytes, word } from '../format';
import { mayWork } from '../session';
import { t } from '../text';
import { actor } from './log';
import { Problem } from './problem';
import { Foreign, Time } from './text';

/** What was said on a ticket, oldest first, and a place to say more. */
export function Thread(props: {
  ticket: Ticket;
  articles: Article[];
  attachments: Attachment[];
  users: User[];
  said: (article: Article) => void;
  attached: () => Promise<unknown>;
}) {
  return (
    <section class="card stack" aria-labelledby="thread-title">
      <h2 id="thread-title">{t().thread.title}</h2>
      <Show when={props.articles.length > 0} fallback={<p class="quiet">{t().thread.empty}</p>}>
        <ol class="thread">
          <For each={props.articles}>
            {(article) => (
              <li class={`article article-${article.visibility}`}>
                <p class="byline">
                  <bdi>{actor(article.author, props.users)}</bdi>
                  <span class={`chip visibility-${article.visibility}`}>{word(t().visibilities, article.visibility)}</span>
                  <Show when={article.came_from}>
                    {(from) => <a href={`/tickets/${from()}`}>{t().thread.cameFrom(from())}</a>}
                  </Show>
                  <Time atMs={article.created_at_ms} />
                </p>
                <p class="prose" dir="auto">
                  <Foreign text={article.body} />
                </p>
              </li>
            )}
          </For>
        </ol>
      </Show>
      <Show when={props.attachments.length > 0}>
        <ul class="links">
          <For each={props.attachments}>
            {(file) => (
              <li>
                <a href={`/api/v1/attachments/${file.id}`} download={file.name}>
                  <Foreign text={file.name} />
                </a>{' '}
                <span class="quiet">{bytes(file.size_bytes)}</span>{' '}
                <span class={`chip visibility-${file.visibility}`}>{word(t().visibilities, file.visibility)}</span>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <Show when={mayWork() && props.ticket.state !== 'merged'}>
        <Compose ticket={props.ticket} said={props.said} attached={props.attached} />
      </Show>
    </section>
  );
}

/** Words that were not sent yet stay when the ticket is left and come back to. */
const drafts = new Map<string, string>();

function Compose(props: { ticket: Ticket; said: (article: Article) => void; attached: () => Promise<unknown> }) {
  const [error, setError] = createSignal<unknown>();
  const [sending, setSending] = createSignal(false);
  // What nobody marked for the customer stays inside.
  const [visibility, setVisibility] = createSignal<Visibility>('internal');
  const number = props.ticket.number;
  let text!: HTMLTextAreaElement;
  let key = onceKey();

  const send = async () => {
    const body = text.value.trim();
    if (sending() || body === '') return;
    setSending(true);
    setError(undefined);
    try {
      props.said(await api.addArticle(number, { visibility: visibility(), body }, key));
      key = onceKey();
      text.value = '';
      drafts.delete(number);
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
    }
  };

  const attach = async (files: FileList | null) => {
    setSending(true);
    setError(undefined);
    try {
      for (const file of files ?? []) await api.attach(number, file, visibility());
    } catch (error) {
      setError(error);
    } finally {
      setSending(false);
      await props.attached();
    }
  };

  return (
    <form
      class={`compose compose-${visibility()}`}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <label for="compose" class="unseen">{t().thread.write}</label>
      <textarea
        id="compose"
        ref={text}
        dir="auto"
        rows={3}
        maxLength={20_000}
        placeholder={t().thread.write}
        value={drafts.get(number) ?? ''}
        onInput={(event) => {
          drafts.set(number, event.currentTarget.value);
          // Other words are another request.
          key = onceKey();
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            void send();
          }
        }}
      />
      <div class="buttons">
        <fieldset class="choice">
          <legend class="unseen">{t().thread.who}</legend>
          <For each={['internal', 'public'] as const}>
            {(one) => (
              <button type="button" aria-pressed={visibility() === one} onClick={() => setVisibility(one)}>
                {word(t().visibilities, one)}
              </button>
            )}
          </For>
        </fieldset>
        <label class="attach">
          <span>{t().thread.attach}</span>
          <input
            type="file"
            multiple
            disabled={sending()}
            onChange={(event) => {
              const input = event.currentTarget;
              void attach(input.files).finally(() => (input.value = ''));
            }}
          />
        </label>
        <button type="submit" class="primary" disabled={sending()}>
          {visibility() === 'public' ? t().thread.sendPublic : t().thread.sendInternal} <kbd>Ctrl ↵</kbd>
        </button>
      </div>
      <Problem error={error()} />
    </form>
  );
}
