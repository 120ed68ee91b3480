import { SignJWT } from 'jose';
import { signingKey } from '#apiserver/authentication/service-account-keys.ts';

/** Signs the tokens that secrets hold, with the key of all service-account tokens. They never end. */
export function legacyTokenSigner(privateKey: string): (claims: Readonly<Record<string, string>>) => Promise<string> {
  const key = signingKey(privateKey);
  return (claims) => new SignJWT({ ...claims }).setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey);
}
