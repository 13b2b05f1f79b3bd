// Who is signed in here.
import { createSignal } from 'solid-js';

import { ApiError, api, onSignedOut } from './api/client';
import type { Me } from './api/schema';
import { startLive, stopLive } from './live';

/** `undefined` while it is not known, `null` when nobody is. */
const [me, setMe] = createSignal<Me | null | undefined>(undefined);
const [ended, setEnded] = createSignal(false);

/** What a right password got where a second factor is asked for. */
const [challenge, setChallenge] = createSignal<string>();

export { challenge, ended, me, setChallenge };

export function signedIn(who: Me): void {
  setEnded(false);
  setMe(who);
  startLive();
}

export async function findOut(): Promise<void> {
  try {
    signedIn(await api.me());
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) setMe(null);
    else throw error;
  }
}

/** After a link that was refused: whoever was signed in before still is. */
export async function stayAsBefore(): Promise<void> {
  await findOut().catch(() => setMe(null));
}

export async function signOut(): Promise<void> {
  stopLive();
  try {
    await api.signOut();
  } finally {
    setEnded(false);
    setMe(null);
  }
}

/** Whether the signed-in role may change tickets and invite customers. The console decides; this only hides buttons. */
export const mayWork = (): boolean => {
  const role = me()?.role;
  return role !== undefined && role !== 'auditor';
};

/** Whether the signed-in role may shut devices out. The console decides; this only hides buttons. */
export const mayRevoke = (): boolean => {
  const role = me()?.role;
  return role === 'supervisor' || role === 'admin';
};

/** Whether the signed-in role may change what the desk decides for itself. The console decides; this only hides buttons. */
export const mayConfigure = mayRevoke;

/** Whether the signed-in role may manage users. The console decides; this only hides buttons. */
export const mayManageUsers = (): boolean => me()?.role === 'admin';

onSignedOut(() => {
  // A first look without a sign-in is no sign-in that has ended.
  if (me()) setEnded(true);
  stopLive();
  setMe(null);
});
