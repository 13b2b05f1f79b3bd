import { For, Show, createResource, createSignal } from 'solid-js';

import { api } from '../api/client';
import type { OwnSignIn, SignInView } from '../api/schema';
import { t } from '../text';
import { Problem } from './problem';
import { proved } from './step-up';
import { Foreign, Time } from './text';

/** Where somebody is signed in, and how to end it: one's own one by one, those of another user all at once. */
export function SignIns(props: { own: true } | { own?: undefined; user: number }) {
  const [failed, setFailed] = createSignal<unknown>();
  const [signIns, { refetch }] = createResource(async (): Promise<(SignInView & Partial<OwnSignIn>)[]> => {
    try {
      const page = props.own ? await api.ownSignIns() : await proved(() => api.signInsOf(props.user));
      return page.items;
    } catch (error) {
      setFailed(error);
      return [];
    }
  });
  const end = async (action: () => Promise<void>) => {
    setFailed(undefined);
    try {
      await proved(action);
      await refetch();
    } catch (error) {
      setFailed(error);
    }
  };
  return (
    <>
      <Problem error={failed()} />
      <ul class="rows">
        <For each={signIns.latest} fallback={<li class="quiet">{signIns.loading ? t().loading : t().account.noSignIns}</li>}>
          {(signIn) => (
            <li>
              <span>
                <Foreign text={signIn.agent || t().account.unknownBrowser} />
                <span class="hint">
                  <Show when={signIn.by}>{(by) => <>{t().account.by[by()]}, </>}</Show>
                  <Show when={signIn.source}>{(source) => <><Foreign text={source()} />, </>}</Show>
                  {t().account.lastUsed} <Time atMs={signIn.last_used_at_ms} />
                </span>
              </span>
              <Show when={props.own}>
                <Show when={!signIn.current} fallback={<span class="quiet">{t().account.thisOne}</span>}>
                  <button type="button" onClick={() => void end(() => api.endOwnSignIn(signIn.id))}>{t().account.end}</button>
                </Show>
              </Show>
            </li>
          )}
        </For>
      </ul>
      <Show when={!props.own && (signIns.latest?.length ?? 0) > 0}>
        <div class="buttons">
          <button type="button" onClick={() => void end(() => api.endSignInsOf((props as { user: number }).user))}>
            {t().account.endAll}
          </button>
        </div>
      </Show>
    </>
  );
}
