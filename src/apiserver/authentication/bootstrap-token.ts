/**
 * Bootstrap tokens `<id>.<secret>`: secrets of type `bootstrap.kubernetes.io/token` in kube-system with which a new node asks for its certificate.
 * Source: the Kubernetes page "Authenticating with Bootstrap Tokens".
 */
import { timingSafeEqual } from 'node:crypto';
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import type { AuthenticationResult, ObjectReader, TokenAuthenticator } from '../interfaces.ts';

const SECRETS = resourceOf('', 'v1', 'secrets');
const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;
const DEFAULT_GROUP = 'system:bootstrappers';

/** Groups of a token's secret beyond the default one; undefined when one of them is not allowed. */
function groupsOf(text: string): string[] | undefined {
  const groups = text.split(',').map((g) => g.trim()).filter((g) => g !== '');
  return groups.every((g) => GROUP.test(g)) ? [...new Set([DEFAULT_GROUP, ...groups])].toSorted() : undefined;
}

export class BootstrapTokenAuthenticator implements TokenAuthenticator {
  readonly #reader: ObjectReader;
  readonly #clock: Clock;
  constructor(options: { readonly reader: ObjectReader; readonly clock: Clock }) {
    this.#reader = options.reader;
    this.#clock = options.clock;
  }
  authenticateToken(token: string): AuthenticationResult | undefined {
    const [, id, secret] = TOKEN.exec(token) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const object = this.#reader.get<coreV1.Secret>(SECRETS, 'kube-system', `bootstrap-token-${id}`);
    if (!object || object.metadata.deletionTimestamp || object.type !== 'bootstrap.kubernetes.io/token') return undefined;
    const data = (key: string): string => Buffer.from(object.data?.[key] ?? '', 'base64').toString('utf8');
    const kept = Buffer.from(data('token-secret'));
    if (kept.length !== secret.length || !timingSafeEqual(kept, Buffer.from(secret))) return undefined;
    if (data('token-id') !== id || this.#expired(data('expiration')) || data('usage-bootstrap-authentication') !== 'true') return undefined;
    const groups = groupsOf(data('auth-extra-groups'));
    return groups && { user: { name: `system:bootstrap:${id}`, groups } };
  }
  #expired(expiration: string): boolean {
    if (expiration === '') return false;
    const at = Date.parse(expiration);
    return Number.isNaN(at) || at <= this.#clock.now();
  }
}
