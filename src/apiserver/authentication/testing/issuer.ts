/** An OpenID Connect issuer on loopback: HTTPS, discovery, keys, tokens. */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { testAuthority, testLeaf } from './fakes.ts';

export class TestIssuer {
  readonly url: string;
  /** PEM, for `certificateAuthority`. */
  readonly ca: string;
  readonly fetched: string[] = [];
  readonly #server: Server;
  readonly #key: CryptoKey;
  private constructor(server: Server, ca: string, key: CryptoKey) {
    this.#server = server;
    this.#key = key;
    this.ca = ca;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  static async start(now: number): Promise<TestIssuer> {
    const ca = await testAuthority('issuer', now);
    const leaf = await testLeaf(ca, { subject: [{ CN: ['idp'] }], from: now - 60_000, to: now + 86_400_000, names: [{ type: 'ip', value: '127.0.0.1' }] });
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
    const server = createServer(leaf, (request, response) => {
      issuer.fetched.push(request.url!);
      const documents: Record<string, unknown> = { '/.well-known/openid-configuration': { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }, '/keys': { keys: [jwk] } };
      const body = documents[request.url!];
      response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const issuer = new TestIssuer(server, ca.cert, privateKey);
    return issuer;
  }
  /** Good for `seconds` from `now`, milliseconds since the epoch. */
  token(claims: Readonly<Record<string, unknown>>, now: number, seconds = 300): Promise<string> {
    return new SignJWT({ iss: this.url, exp: Math.floor(now / 1000) + seconds, ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(this.#key);
  }
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
