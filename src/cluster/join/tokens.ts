/**
 * Bootstrap tokens as their administrator handles them: `kubeadm token` for this cluster.
 * Source: the Kubernetes pages "Authenticating with Bootstrap Tokens" and "kubeadm token".
 */
import { randomInt } from 'node:crypto';
import type { Secret } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import { SECRETS } from '#client/kinds.ts';
import { dataOf, expiryOf, TOKEN_TYPE } from '#controllers/bootstrap-signer/tokens.ts';
import { shortHumanDuration } from '#machinery/duration.ts';
import { isReason } from '#machinery/status-error.ts';
import { readAdminKubeconfig } from '../admin.ts';
import type { ClusterConfig } from '../config.ts';
import { caHash, parseToken, type BootstrapToken } from './discovery.ts';

const NAMESPACE = 'kube-system';
const USAGE = 'usage-bootstrap-';
const GROUP = 'system:bootstrappers:podyard:default-node-token';
const CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';

const secretName = (id: string): string => `bootstrap-token-${id}`;
/** Each character is as likely as any other: `randomInt` has no modulo bias. */
function randomText(length: number): string {
  return Array.from({ length }, () => CHARACTERS[randomInt(CHARACTERS.length)]).join('');
}

export interface TokenChoices {
  /** How long it is good, in ms; 0: until it is deleted. */
  readonly ttlMs: number;
  readonly description?: string | undefined;
}
/** A new token, with which a machine may read of the cluster and ask for a node's certificate. */
export async function createToken(client: Client, { ttlMs, description }: TokenChoices, clock: Clock): Promise<BootstrapToken & { readonly expiration?: string }> {
  const token: BootstrapToken = { id: randomText(6), secret: randomText(16) };
  const expires = ttlMs === 0 ? {} : { expiration: rfc3339(clock.now() + ttlMs) };
  await client.of(SECRETS).create({
    metadata: { name: secretName(token.id), namespace: NAMESPACE }, type: TOKEN_TYPE,
    stringData: {
      'token-id': token.id, 'token-secret': token.secret, ...expires, [`${USAGE}authentication`]: 'true', [`${USAGE}signing`]: 'true', 'auth-extra-groups': GROUP,
      ...(description ? { description } : {}),
    },
  });
  return { ...token, ...expires };
}

/** kubeadm's columns. */
export const TOKEN_COLUMNS = ['TOKEN', 'TTL', 'EXPIRES', 'USAGES', 'DESCRIPTION'] as const;
function rowOf(secret: Secret, now: number): readonly string[] {
  const expiry = expiryOf(secret);
  const usages = Object.keys(secret.data ?? {}).filter((key) => key.startsWith(USAGE) && dataOf(secret, key) === 'true').map((key) => key.slice(USAGE.length));
  return [
    `${dataOf(secret, 'token-id')}.${dataOf(secret, 'token-secret')}`,
    expiry === undefined ? '<forever>' : expiry > now ? shortHumanDuration(expiry - now) : '<invalid>',
    expiry === undefined ? '<never>' : dataOf(secret, 'expiration'),
    usages.toSorted().join(',') || '<none>',
    dataOf(secret, 'description') || '<none>',
  ];
}
/** Texts for {@link TOKEN_COLUMNS}, a row for each token. They hold the secrets. */
export async function listTokens(client: Client, clock: Clock): Promise<(readonly string[])[]> {
  const { items } = await client.of(SECRETS).list({ namespace: NAMESPACE, fieldSelector: `type=${TOKEN_TYPE}` });
  return items.filter((s) => nameOf(s) === secretName(dataOf(s, 'token-id'))).map((s) => rowOf(s, clock.now()));
}

/** Deletes a token by its ID, or by the whole of it; gives the ID. */
export async function deleteToken(client: Client, idOrToken: string): Promise<string> {
  const id = /^[a-z0-9]{6}$/.test(idOrToken) ? idOrToken : parseToken(idOrToken).id;
  await client.of(SECRETS).delete(NAMESPACE, secretName(id)).catch((err: unknown) => {
    throw isReason(err, 'NotFound') ? new Error(`there is no token with the id "${id}": "podyard token list" shows those that there are`, { cause: err }) : err;
  });
  return id;
}

/** What is typed on the machine that is to join. */
export async function joinCommand(config: Pick<ClusterConfig, 'kubeconfig' | 'nodeIP' | 'apiPort'>, { id, secret }: BootstrapToken): Promise<string> {
  const { clusters: [cluster] } = await readAdminKubeconfig(config);
  const ca = Buffer.from(cluster!.cluster['certificate-authority-data'] ?? '', 'base64').toString();
  return `./podyard join ${config.nodeIP}:${config.apiPort} --token ${id}.${secret} --discovery-token-ca-cert-hash ${caHash(ca)}`;
}
