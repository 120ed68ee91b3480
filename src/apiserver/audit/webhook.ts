/**
 * The webhook backend: events in batches to a remote collector, as `EventList` of `audit.k8s.io/v1`. Upstream's counterparts:
 * `plugin/pkg/audit/{webhook,buffered}` in batch mode, with its defaults.
 *
 * ```
 *   write ─▶ queue (10,000 events) ─▶ a batch: 400 events, or what came in 30 s ─▶ ten a second ─▶ POST, five tries
 * ```
 */
import { sleep, type Clock, type Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { RemoteWebhook } from '../webhook/kubeconfig.ts';
import type { AuditSink } from './auditor.ts';

const log = logger('audit');
/** Before the second of five tries of a batch; each wait is half as long again. */
export const INITIAL_BACKOFF_MS = 10_000;
const TIMEOUT_MS = 30_000;
/** Between two complaints about lost events. */
const COMPLAIN_MS = 10_000;

export interface AuditWebhookOptions {
  readonly webhook: RemoteWebhook;
  readonly clock: Clock;
  readonly maxQueued?: number;
  /** What may wait, in characters. Upstream counts events alone, which may be large. */
  readonly maxQueuedLength?: number;
  readonly maxBatch?: number;
  readonly maxWaitMs?: number;
  /** Batches a second, and how many may go at once after a pause. */
  readonly qps?: number;
  readonly burst?: number;
  /** Batches under way. While all of them are being tried again, events wait. */
  readonly maxInFlight?: number;
  /** How long the end waits for what has not arrived. */
  readonly closeMs?: number;
}
const DEFAULTS = { maxQueued: 10_000, maxQueuedLength: 64 * 1024 * 1024, maxBatch: 400, maxWaitMs: 30_000, qps: 10, burst: 15, maxInFlight: 4, closeMs: 5_000 };

export class AuditWebhook implements AuditSink {
  readonly plugin = 'webhook';
  readonly #o: Required<AuditWebhookOptions>;
  readonly #stop = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #queue: string[] = [];
  #length = 0;
  #lost = 0;
  #complainedAt = -Infinity;
  #due = false;
  #timer: Timer | undefined;
  /** Batches that may go now, as of {@link #refilledAt}. */
  #tokens: number;
  #refilledAt: number;
  #closing = false;

  constructor(options: AuditWebhookOptions) {
    this.#o = { ...DEFAULTS, ...options };
    this.#tokens = this.#o.burst;
    this.#refilledAt = this.#o.clock.monotonic();
  }
  get lost(): number {
    return this.#lost;
  }
  write(line: string): void {
    const { maxQueued, maxQueuedLength, maxWaitMs, clock } = this.#o;
    if (this.#closing || this.#queue.length >= maxQueued || this.#length + line.length > maxQueuedLength) return this.#lose(1, 'audit backend "webhook": audit buffer queue blocked', undefined);
    this.#queue.push(line);
    this.#length += line.length;
    this.#timer ??= clock.after(maxWaitMs, () => {
      this.#due = true;
      this.#timer = undefined;
      this.#send();
    });
    if (this.#queue.length >= this.#o.maxBatch) this.#send();
  }
  /** Sends what waits, for a while. Idempotent. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const { clock, closeMs, webhook } = this.#o;
    const limit = clock.after(closeMs, () => this.#stop.abort(new Error('the API server stops')));
    this.#timer?.cancel();
    this.#due = true;
    this.#send();
    while (this.#underWay.size > 0) await Promise.race(this.#underWay);
    limit.cancel();
    if (this.#queue.length > 0) this.#lose(this.#queue.length, 'The API server stops before all audit events were sent', undefined);
    this.#queue = [];
    webhook.close();
  }

  /** Starts batches while there are full ones, or a part of one is due. */
  #send(): void {
    const { maxBatch, maxInFlight } = this.#o;
    while (this.#underWay.size < maxInFlight && (this.#queue.length >= maxBatch || (this.#due && this.#queue.length > 0))) {
      const batch = this.#queue.splice(0, maxBatch);
      for (const line of batch) this.#length -= line.length;
      const sent = this.#deliver(batch).finally(() => {
        this.#underWay.delete(sent);
        this.#send();
      });
      this.#underWay.add(sent);
    }
    if (this.#queue.length > 0) return;
    this.#due = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
  async #deliver(batch: readonly string[]): Promise<void> {
    try {
      await this.#turn();
      const body = Buffer.from(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[${batch.join(',')}]}`);
      await this.#o.webhook.post(body, { timeoutMs: TIMEOUT_MS, signal: this.#stop.signal });
    } catch (err) {
      this.#lose(batch.length, 'The audit webhook cannot be told; events are lost', err);
    }
  }
  /** Resolves when the batch may go: a bucket of tokens. */
  async #turn(): Promise<void> {
    this.#stop.signal.throwIfAborted();
    const { clock, qps, burst } = this.#o;
    const now = clock.monotonic();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#refilledAt) / 1000) * qps);
    this.#refilledAt = now;
    this.#tokens -= 1;
    if (this.#tokens < 0) await sleep(clock, (-this.#tokens / qps) * 1000, this.#stop.signal);
  }
  #lose(count: number, message: string, err: unknown): void {
    this.#lost += count;
    const now = this.#o.clock.monotonic();
    if (now - this.#complainedAt < COMPLAIN_MS) return;
    this.#complainedAt = now;
    log.error({ lost: this.#lost, ...(err === undefined ? {} : { reason: (err as Error).message }) }, message);
  }
}
