/** Authorization by a file: the authorizers of an `AuthorizationConfiguration`, read again when it changes. */
import type { Clock } from '#base/clock.ts';
import { FollowedFile, readIfThere } from '../configuration/followed-file.ts';
import { openKubeconfigWebhook } from '../webhook/kubeconfig.ts';
import { parseAuthorizationConfiguration, type AuthorizerConfiguration } from './configuration.ts';
import { WebhookAuthorizer } from './webhook.ts';

/** As often as upstream looks at its file: a kubeconfig that was missing may be there now. */
const RETRY_MS = 60_000;
const INITIAL_BACKOFF_MS = 500;

/** One authorizer of the chain: ours by its type, or a webhook. */
export type ChainLink = 'AlwaysAllow' | 'AlwaysDeny' | 'Node' | 'RBAC' | WebhookAuthorizer;
export interface AuthorizationFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly random: () => number;
}

export class AuthorizationFile {
  readonly #file: FollowedFile;
  #chain: readonly ChainLink[];
  #onChange: () => void = () => {};

  private constructor(options: AuthorizationFileOptions, chain: readonly ChainLink[]) {
    const { path, clock } = options;
    this.#chain = chain;
    this.#file = new FollowedFile({
      path, clock, what: 'authorization configuration', metric: 'authorization', retryMs: RETRY_MS,
      take: async (text) => {
        const old = this.#chain;
        this.#chain = await load(text, options);
        this.#onChange();
        for (const link of old) if (typeof link === 'object') link.close();
      },
    });
  }
  /** Undefined where there is no such file. Rejects for one that cannot be used. */
  static async open(options: AuthorizationFileOptions): Promise<AuthorizationFile | undefined> {
    const text = await readIfThere(options.path);
    return text === undefined ? undefined : new AuthorizationFile(options, await load(text, options));
  }
  get chain(): readonly ChainLink[] {
    return this.#chain;
  }
  /** Called after {@link chain} has changed. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }
  start(): void {
    this.#file.start();
  }
  async stop(): Promise<void> {
    await this.#file.stop();
    for (const link of this.#chain) if (typeof link === 'object') link.close();
  }
  metricsText(): string {
    return this.#file.metricsText();
  }
}

async function load(text: string, { path, clock, random }: AuthorizationFileOptions): Promise<readonly ChainLink[]> {
  let configuration: readonly AuthorizerConfiguration[];
  try {
    configuration = parseAuthorizationConfiguration(text);
  } catch (err) {
    throw new Error(`failed to load AuthorizationConfiguration from file "${path}": ${(err as Error).message}`, { cause: err });
  }
  return Promise.all(configuration.map(async (authorizer): Promise<ChainLink> => {
    if (authorizer.type !== 'Webhook') return authorizer.type;
    const { kubeConfigFile, ...options } = authorizer.webhook;
    return new WebhookAuthorizer({ ...options, clock, webhook: await openKubeconfigWebhook({ path: kubeConfigFile, clock, random, initialBackoffMs: INITIAL_BACKOFF_MS }) });
  }));
}
