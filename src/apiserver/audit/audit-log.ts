/** Auditing as a cluster has it: a policy file that is there decides, a file beside it is written, and a webhook is told where one is named. */
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { readIfThere } from '../configuration/followed-file.ts';
import { openKubeconfigWebhook } from '../webhook/kubeconfig.ts';
import { Auditor } from './auditor.ts';
import { LogFile, type LogFileOptions } from './log-file.ts';
import { parseAuditPolicy } from './policy.ts';
import { AuditWebhook, INITIAL_BACKOFF_MS } from './webhook.ts';

const log = logger('audit');

export interface AuditLogOptions extends Omit<LogFileOptions, 'path' | 'clock'> {
  readonly policyPath: string;
  readonly logPath: string;
  /** A kubeconfig file, which need not be there. */
  readonly webhookPath?: string;
  readonly clock: Clock;
}

export class AuditLog {
  readonly auditor: Auditor;
  readonly #file: LogFile;
  readonly #webhook: AuditWebhook | undefined;
  private constructor(auditor: Auditor, file: LogFile, webhook: AuditWebhook | undefined) {
    this.auditor = auditor;
    this.#file = file;
    this.#webhook = webhook;
  }
  /** Undefined where there is no policy. Throws for a policy or a webhook that cannot be used and for a file that cannot be written. */
  static async open({ policyPath, logPath, webhookPath, clock, ...limits }: AuditLogOptions): Promise<AuditLog | undefined> {
    const [text, remote] = [await readIfThere(policyPath), webhookPath === undefined ? undefined : await readIfThere(webhookPath)];
    if (text === undefined) {
      if (remote !== undefined) log.warn({ path: webhookPath }, 'No audit policy file provided, no events will be recorded for webhook backend');
      return undefined;
    }
    const policy = parseAuditPolicy(text);
    const webhook = remote === undefined ? undefined : new AuditWebhook({
      clock, webhook: await openKubeconfigWebhook({ path: webhookPath!, clock, random: Math.random, initialBackoffMs: INITIAL_BACKOFF_MS, mayRetry: () => true, anyAnswer: true }),
    });
    const file = new LogFile({ path: logPath, clock, ...limits });
    await file.open();
    return new AuditLog(new Auditor(policy, [file, ...(webhook ? [webhook] : [])], clock), file, webhook);
  }
  flush(): Promise<void> {
    return this.#file.flush();
  }
  /** Writes out what waits. */
  async close(): Promise<void> {
    await Promise.all([this.#file.close(), this.#webhook?.close()]);
  }
}
