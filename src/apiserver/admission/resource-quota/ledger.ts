/**
 * Charges quotas without races. Requests of one namespace are judged one after another against running totals, many of them in one
 * round; a round ends with one guarded status write a quota, and only then are its requests let through. Two API servers on one store
 * find each other out by the guard: whoever loses judges again.
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { keyOf, nameOf, type KubeObject } from '#api/object.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import { internalError, isReason, type StatusError } from '#machinery/status-error.ts';
import type { Loopback, ObjectReader } from '../../interfaces.ts';
import { inScopes, missingRequirements, type Usage } from '#machinery/quota-usage.ts';

export const QUOTAS = resourceOf('', 'v1', 'resourcequotas');
const MAX_TRIES = 4;

/** One write that wants to be charged. */
export interface Charge {
  readonly resource: ResourceInfo;
  readonly namespace: string;
  readonly object: KubeObject;
  /** What the write adds; no zeros. */
  readonly delta: Usage;
  readonly isCreate: boolean;
  refuse(why: string): StatusError;
}
interface Waiting {
  readonly charge: Charge;
  /** Quotas that were charged for it in an earlier round. */
  readonly charged: Set<string>;
  tries: number;
  resolve(): void;
  reject(err: unknown): void;
}

/** Quotas that count something of the write, with the part that they count. Throws the refusal for containers without figures. */
export function interested(quotas: readonly coreV1.ResourceQuota[], charge: Charge): { readonly quota: coreV1.ResourceQuota; readonly part: Usage }[] {
  return quotas.flatMap((quota) => {
    const hard = quota.status?.hard ?? {};
    const part: Usage = new Map([...charge.delta].filter(([name]) => hard[name] !== undefined));
    const names = new Set(Object.keys(hard));
    if (!inScopes(quota, charge.resource, charge.object)) return [];
    const missing = charge.isCreate ? missingRequirements(charge.resource, charge.object, names) : undefined;
    if (missing) throw charge.refuse(`failed quota: ${nameOf(quota)}: ${missing}`);
    if (part.size === 0) return [];
    const unknown = [...part.keys()].filter((name) => quota.status?.used?.[name] === undefined);
    if (unknown.length) throw charge.refuse(`status unknown for quota: ${nameOf(quota)}, resources: ${unknown.toSorted().join(',')}`);
    return [{ quota, part }];
  });
}
function text(list: ReadonlyMap<string, Quantity>): string {
  return [...list].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, q]) => `${name}=${q.toString()}`).join(',');
}
/** New totals of the quota's `used`, or throws `exceeded quota: …`. */
export function totalsWith(quota: coreV1.ResourceQuota, used: ReadonlyMap<string, Quantity>, part: Usage, charge: Charge): Map<string, Quantity> {
  const hard = quota.status?.hard ?? {};
  const totals = new Map(used);
  const exceeded: string[] = [];
  for (const [name, amount] of part) {
    const total = (used.get(name) ?? parseQuantity('0')).add(amount);
    totals.set(name, total);
    if (amount.sign() > 0 && total.cmp(parseQuantity(hard[name]!)) > 0) exceeded.push(name);
  }
  if (exceeded.length === 0) return totals;
  const only = (get: (name: string) => Quantity): string => text(new Map(exceeded.map((name) => [name, get(name)])));
  throw charge.refuse(`exceeded quota: ${nameOf(quota)}, requested: ${only((n) => part.get(n)!)}, used: ${only((n) => used.get(n)!)}, limited: ${only((n) => parseQuantity(hard[n]!))}`);
}
export function usedOf(quota: coreV1.ResourceQuota): Map<string, Quantity> {
  return new Map(Object.entries(quota.status?.used ?? {}).map(([name, q]) => [name, parseQuantity(q)]));
}

export class QuotaLedger {
  readonly #reader: ObjectReader;
  readonly #loopback: Loopback;
  /** Quotas that were written or read here and that the reader may not have seen yet: with an outside store it lags behind. */
  readonly #written = new Map<string, coreV1.ResourceQuota>();
  readonly #stop: () => void;
  /** By namespace; there while a round is under way. Holds at most the requests in flight. */
  readonly #waiting = new Map<string, Waiting[]>();
  constructor(options: { readonly reader: ObjectReader; readonly loopback: Loopback }) {
    this.#reader = options.reader;
    this.#loopback = options.loopback;
    this.#stop = options.reader.subscribe(QUOTAS, ({ type, object }) => {
      if (type === 'DELETED') this.#written.delete(keyOf(object));
    });
  }
  stop(): void {
    this.#stop();
  }
  /** The namespace's quotas, each in its newest known form. */
  quotas(namespace: string): readonly coreV1.ResourceQuota[] {
    return this.#reader.list<coreV1.ResourceQuota>(QUOTAS, namespace).map((quota) => {
      const written = this.#written.get(keyOf(quota));
      if (!written) return quota;
      if (revisionOf(written) > revisionOf(quota)) return written;
      this.#written.delete(keyOf(quota));
      return quota;
    });
  }
  /** Resolves when every quota concerned has been charged; rejects with the refusal. */
  charge(charge: Charge): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { charge, charged: new Set(), tries: 0, resolve, reject };
      const queue = this.#waiting.get(charge.namespace);
      if (queue) {
        queue.push(waiting);
        return;
      }
      this.#waiting.set(charge.namespace, [waiting]);
      void this.#work(charge.namespace);
    });
  }
  async #work(namespace: string): Promise<void> {
    for (;;) {
      const round = this.#waiting.get(namespace)!.splice(0);
      if (round.length === 0) {
        this.#waiting.delete(namespace);
        return;
      }
      await this.#round(namespace, round);
    }
  }
  async #round(namespace: string, round: readonly Waiting[]): Promise<void> {
    const quotas = this.quotas(namespace);
    const totals = new Map<string, Map<string, Quantity>>();
    const concerned = new Map<Waiting, string[]>();
    for (const waiting of round) {
      try {
        concerned.set(waiting, judge(waiting, quotas, totals));
      } catch (err) {
        waiting.reject(err);
      }
    }
    const outcomes = new Map(await Promise.all([...totals].map(async ([name, used]) => [name, await this.#write(quotas.find((q) => nameOf(q) === name)!, used)] as const)));
    for (const [waiting, names] of concerned) {
      for (const name of names) if (outcomes.get(name) === undefined) waiting.charged.add(name);
      const failures = names.flatMap((name) => outcomes.get(name) ?? []);
      if (failures.length === 0) waiting.resolve();
      else if (failures.every((err) => isReason(err, 'Conflict') || isReason(err, 'NotFound')) && ++waiting.tries < MAX_TRIES) this.#waiting.get(namespace)!.push(waiting);
      else waiting.reject(internalError(`unable to update quota: ${failures.map((err) => (err instanceof Error ? err.message : String(err))).join(', ')}`, failures[0]));
    }
  }
  /** The error, or undefined when it is written. */
  async #write(quota: coreV1.ResourceQuota, used: ReadonlyMap<string, Quantity>): Promise<unknown> {
    const where = { resource: QUOTAS, namespace: quota.metadata.namespace, name: nameOf(quota) };
    const body = { ...quota, status: { ...quota.status, used: Object.fromEntries([...used].map(([name, q]) => [name, q.toString()])) } };
    try {
      this.#remember(await this.#loopback.call({ verb: 'update', ...where, subresource: 'status', body }));
      return undefined;
    } catch (err) {
      if (isReason(err, 'Conflict')) await this.#loopback.call({ verb: 'get', ...where }).then((fresh) => this.#remember(fresh), () => undefined);
      return err ?? new Error('unknown failure');
    }
  }
  #remember(quota: unknown): void {
    this.#written.set(keyOf(quota as coreV1.ResourceQuota), quota as coreV1.ResourceQuota);
  }
}
function revisionOf(object: KubeObject): number {
  return Number(object.metadata.resourceVersion ?? '0');
}
/** Adds a waiting write to the running totals of the round; returns the names of the quotas it is charged to. */
function judge(waiting: Waiting, quotas: readonly coreV1.ResourceQuota[], totals: Map<string, Map<string, Quantity>>): string[] {
  const { charge, charged } = waiting;
  const parts = interested(quotas, charge).filter(({ quota }) => !charged.has(nameOf(quota)));
  // All or none: totals change only when every quota agrees.
  const after = parts.map(({ quota, part }) => [nameOf(quota), totalsWith(quota, totals.get(nameOf(quota)) ?? usedOf(quota), part, charge)] as const);
  for (const [name, used] of after) totals.set(name, used);
  return after.map(([name]) => name);
}
