// The browser's side of passkeys.
import type { PasskeyChallenge } from './api/schema';

/** Whether this browser and this address can have passkeys. */
export const passkeysWork = (): boolean =>
  typeof PublicKeyCredential === 'function' && typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function';

/** A new passkey for the options of a registration. */
export async function makePasskey({ options }: PasskeyChallenge): Promise<unknown> {
  const json = options['publicKey'] as PublicKeyCredentialCreationOptionsJSON;
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(json);
  return sent(await navigator.credentials.create({ publicKey }));
}

/** The answer of a passkey that the browser finds. */
export async function askPasskey({ options }: PasskeyChallenge): Promise<unknown> {
  const json = options['publicKey'] as PublicKeyCredentialRequestOptionsJSON;
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(json);
  return sent(await navigator.credentials.get({ publicKey }));
}

function sent(credential: Credential | null): unknown {
  if (!(credential instanceof PublicKeyCredential)) throw new DOMException('no passkey', 'NotAllowedError');
  return credential.toJSON();
}
