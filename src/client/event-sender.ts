/**
 * Writes events behind the backs of those who record them: one after another, in the order of their recording. While the API server
 * cannot be reached they wait, each for two minutes at most; what a server refuses is given up at once. Both kinds of recorder send by it.
 * client-go's counterpart: the sink side of tools/record and tools/events, whose bounds these are.
 */
import { within } from '#base/abort.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { isReason, StatusError } from '#machinery/status-error.ts';

const log = logger('events');
const MAX_WAITING = 1000;
/** How often an event is sent at most while nobody can be reached, and how long between. */
const MAX_TRIES = 12;
const RETRY_MS = 10_000;
/** How long the last events have when their component stops. */
const CLOSE_MS = 1000;

/** What the log says of an event that could not be written. */
export interface EventSubject {
  readonly reason: string;
  /** The object's name. */
  readonly object: string | undefined;
}
export type EventWrite = (signal: AbortSignal) => Promise<unknown>;
interface Waiting {
  readonly subject: EventSubject;
  readonly write: EventWrite;
}
export interface EventSenderOptions {
  readonly clock: Clock;
  /** At least 0, less than 1: spreads the first tries anew of many clients. Default `Math.random`. */
  readonly random?: () => number;
}

export class EventSender {
  readonly #clock: Clock;
  readonly #random: () => number;
  /** The first is being written. */
  readonly #waiting: Waiting[] = [];
  #sending: Promise<void> | undefined;
  #dropped = 0;
  /** Aborts when nobody waits for the API server any more. */
  readonly #closing = new AbortController();
  /** Aborts when calls under way end, too. */
  readonly #closed = new AbortController();

  constructor({ clock, random = Math.random }: EventSenderOptions) {
    this.#clock = clock;
    this.#random = random;
  }
  /** Has `write` called in its turn. Never waits and never throws; what comes when too many are waiting, or after {@link close}, is dropped. */
  enqueue(subject: EventSubject, write: EventWrite): void {
    if (this.#closing.signal.aborted) return;
    if (this.#waiting.length >= MAX_WAITING) {
      if (this.#dropped++ === 0) log.warn(subject, 'events are dropped: too many are waiting');
      return;
    }
    this.#waiting.push({ subject, write });
    this.#sending ??= this.#run();
  }
  /** Resolves when everything enqueued so far was sent or given up. */
  async flush(): Promise<void> {
    await this.#sending;
  }
  /** The component stops: what waits is tried once more, as far as a second goes. Nothing is sent once this resolves. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('no more events are sent'));
    await within(this.#clock, CLOSE_MS, this.flush(), () => new Error('the last events could not be sent in time')).catch((err: Error) => log.debug(err.message));
    this.#waiting.length = 0;
    this.#closed.abort(this.#closing.signal.reason);
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      await this.#send(next);
      this.#waiting.shift();
    }
    this.#sending = undefined;
    if (this.#dropped) log.warn({ dropped: this.#dropped }, 'events were dropped: too many were waiting');
    this.#dropped = 0;
  }
  async #send({ subject, write }: Waiting): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return void (await write(this.#closed.signal));
      } catch (err) {
        if (this.#closed.signal.aborted) return;
        if (!isUnreachable(err)) return tellRefused(subject, err);
        if (this.#closing.signal.aborted) return void (this.#waiting.length = 0);
        if (tries === MAX_TRIES) return void log.warn({ err, ...subject }, 'event not recorded: nobody could be reached');
        await sleep(this.#clock, tries === 1 ? RETRY_MS * this.#random() : RETRY_MS, this.#closing.signal).catch(() => {});
      }
    }
  }
}

/** No answer came: what a server says itself is no failure of the way to it. */
function isUnreachable(err: unknown): boolean {
  return !(err instanceof StatusError) || (isReason(err, 'ServiceUnavailable') && err.cause !== undefined);
}
function tellRefused(subject: EventSubject, err: unknown): void {
  // An object in a namespace that is going away cannot have events: nothing to be done about it.
  const expected = isReason(err, 'Forbidden') || isReason(err, 'NotFound') || isReason(err, 'AlreadyExists');
  log[expected ? 'debug' : 'warn']({ err, ...subject }, 'event not recorded');
}
