import type { Clock } from '#base/clock.ts';

/** An event that never comes must not stop a controller for ever. */
const EXPIRY_MS = 300_000;

interface Expected {
  creations: number;
  readonly deletions: Set<string>;
  readonly since: number;
}

/**
 * What a controller has done that its informers have yet to show: until they do, it must not decide anew from what it sees.
 * Keys are the controller's; creations are counted, deletions known by the UID of what is deleted. Upstream's counterpart: ControllerExpectations.
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Expected>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  /** Replaces what was expected. Call it before acting, so that no event comes too early. */
  expect(key: string, creations: number, deletions: Iterable<string> = []): void {
    this.#byKey.set(key, { creations, deletions: new Set(deletions), since: this.#clock.monotonic() });
  }
  /** One creation was seen, or has failed. */
  created(key: string): void {
    const expected = this.#byKey.get(key);
    if (expected && expected.creations > 0) expected.creations--;
  }
  /** Creations that will not be tried. */
  skipCreations(key: string, count: number): void {
    const expected = this.#byKey.get(key);
    if (expected) expected.creations = Math.max(0, expected.creations - count);
  }
  /** The deletion was seen, or has failed. */
  deleted(key: string, uid: string): void {
    this.#byKey.get(key)?.deletions.delete(uid);
  }
  /** Milliseconds until the controller may act even if nothing more is seen; 0 when it may act now. */
  waitMs(key: string): number {
    const expected = this.#byKey.get(key);
    if (!expected || (expected.creations === 0 && expected.deletions.size === 0)) return 0;
    return Math.max(0, expected.since + EXPIRY_MS - this.#clock.monotonic());
  }
  forget(key: string): void {
    this.#byKey.delete(key);
  }
}
