/**
 * Says in the status of every FlowSchema whether its priority level exists (condition `Dangling`), and puts the mandatory objects back when
 * somebody deletes them. Upstream's counterparts: the config consumer and producer of API Priority and Fairness.
 */
import type { FlowSchema, PriorityLevelConfiguration } from '#api/gen/flowcontrol-v1.ts';
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { rfc3339, type Clock, type Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Loopback, ObjectReader } from '../interfaces.ts';
import { BUILT_IN_SCHEMAS, FLOW_SCHEMAS, MANDATORY_LEVELS, PRIORITY_LEVELS } from './mandatory-objects.ts';

const log = logger('api-priority-and-fairness');
const FIELD_MANAGER = 'api-priority-and-fairness-config-consumer-v1';
const AUTO_UPDATE = { 'apf.kubernetes.io/autoupdate-spec': 'true' };
/** Changes come in bursts, above all at the start of a cluster. */
const SETTLE_MS = 500;
/** After a failure. */
const RETRY_MS = 5_000;

export interface ConfigControllerOptions {
  readonly reader: ObjectReader;
  readonly loopback: Loopback;
  readonly clock: Clock;
}

type Condition = NonNullable<NonNullable<FlowSchema['status']>['conditions']>[number];
/** The condition that a schema should have; undefined: it has it. */
export function danglingCondition(schema: FlowSchema, levelExists: boolean, now: number): Condition | undefined {
  const name = schema.spec.priorityLevelConfiguration.name;
  const wanted = levelExists
    ? { status: 'False', reason: 'Found', message: `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(name)} and it exists` }
    : { status: 'True', reason: 'NotFound', message: `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(name)} but there is no such object` };
  const known = schema.status?.conditions?.find((c) => c.type === 'Dangling');
  if (known?.status === wanted.status && known.reason === wanted.reason && known.message === wanted.message) return undefined;
  const lastTransitionTime = known?.status === wanted.status && known.lastTransitionTime ? known.lastTransitionTime : rfc3339(now);
  return { type: 'Dangling', ...wanted, lastTransitionTime };
}

export class ConfigController {
  readonly #o: ConfigControllerOptions;
  readonly #abort = new AbortController();
  readonly #gone = new Map<string, readonly [ResourceInfo, KubeObject]>();
  #stops: readonly (() => void)[] = [];
  #timer: Timer | undefined;
  #working: Promise<void> | undefined;

  constructor(options: ConfigControllerOptions) {
    this.#o = options;
  }
  start(): void {
    const follow = (resource: ResourceInfo, mandatory: readonly KubeObject[]): (() => void) =>
      this.#o.reader.subscribe(resource, ({ type, object }) => {
        const own = type === 'DELETED' && mandatory.find((m) => m.metadata.name === object.metadata.name);
        if (own) this.#gone.set(`${resource.plural}/${own.metadata.name}`, [resource, own]);
        this.#soon(SETTLE_MS);
      });
    this.#stops = [follow(FLOW_SCHEMAS, BUILT_IN_SCHEMAS), follow(PRIORITY_LEVELS, MANDATORY_LEVELS)];
    this.#soon(SETTLE_MS);
  }
  async stop(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#working;
  }

  #soon(ms: number): void {
    if (this.#timer || this.#abort.signal.aborted) return;
    this.#timer = this.#o.clock.after(ms, () => {
      this.#working = this.#sync().then(
        () => void (this.#timer = undefined),
        (err: unknown) => {
          this.#timer = undefined;
          if (this.#abort.signal.aborted) return;
          log.warn({ err }, 'The state of flow control could not be written; trying again');
          this.#soon(RETRY_MS);
        },
      );
    });
  }
  async #sync(): Promise<void> {
    const { reader, clock, loopback } = this.#o;
    for (const [id, [resource, object]] of this.#gone) {
      const body = { apiVersion: apiVersionOf(resource.group, resource.version), kind: resource.kind, ...object, metadata: { ...object.metadata, annotations: AUTO_UPDATE } };
      await loopback.call({ verb: 'create', resource, body }, this.#abort.signal).catch(unless('AlreadyExists'));
      this.#gone.delete(id);
    }
    const levels = new Set(reader.list<PriorityLevelConfiguration>(PRIORITY_LEVELS).map((l) => l.metadata.name));
    for (const schema of reader.list<FlowSchema>(FLOW_SCHEMAS)) {
      const condition = danglingCondition(schema, levels.has(schema.spec.priorityLevelConfiguration.name), clock.now());
      if (condition) await this.#write(schema, condition);
    }
  }
  async #write({ metadata: { name = '' } }: FlowSchema, condition: Condition): Promise<void> {
    const body = { apiVersion: apiVersionOf(FLOW_SCHEMAS.group, FLOW_SCHEMAS.version), kind: FLOW_SCHEMAS.kind, metadata: { name }, status: { conditions: [condition] } };
    await this.#o.loopback.call(
      { verb: 'patch', resource: FLOW_SCHEMAS, name, subresource: 'status', patchType: 'application/apply-patch+yaml', query: { fieldManager: FIELD_MANAGER, force: 'true' }, body },
      this.#abort.signal,
    ).catch(unless('NotFound'));
  }
}
function unless(reason: 'NotFound' | 'AlreadyExists'): (err: unknown) => void {
  return (err) => {
    if (!isReason(err, reason)) throw err;
  };
}
