/** Creates and deletes Pods for a controller, and tells of it in events on the owner. */
import type { Pod, PodTemplateSpec } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf, type KubeObject } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import { PODS, type KindRef } from '#client/kinds.ts';
import { nameIsDNSSubdomain } from '#machinery/names.ts';
import { isReason, StatusError } from '#machinery/status-error.ts';
import { newControllerRef } from './controller-ref.ts';

/** A Pod as the template says, controlled by the owner; its name is left to the server, after `namePrefix` or the owner's name. */
export function podFromTemplate(template: PodTemplateSpec, owner: KubeObject, kind: KindRef<KubeObject>, namePrefix?: string): Pod {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  const prefix = `${nameOf(owner)}-`;
  return {
    apiVersion: 'v1', kind: 'Pod',
    metadata: {
      generateName: namePrefix ?? (nameIsDNSSubdomain(prefix, true).length ? nameOf(owner) : prefix), namespace: namespaceOf(owner),
      ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}), ...(finalizers ? { finalizers } : {}),
      ownerReferences: [newControllerRef(owner, kind)],
    },
    spec: template.spec ?? { containers: [] },
  };
}
/** Nothing can be made in a namespace that ends: no failure worth telling. */
export function isNamespaceTerminating(err: unknown): boolean {
  return err instanceof StatusError && (err.status.details?.causes?.some((c) => c.reason === 'NamespaceTerminating') ?? false);
}

/** What a deletion guarded by UID answers when the object is not there any more. */
export function isGone(err: unknown): boolean {
  return isReason(err, 'NotFound') || isReason(err, 'Conflict');
}

export class PodControl {
  readonly #client: Client;
  readonly #recorder: EventRecorder;
  readonly #kind: KindRef<KubeObject>;

  /** `kind` is the owners'. */
  constructor(client: Client, recorder: EventRecorder, kind: KindRef<KubeObject>) {
    this.#client = client;
    this.#recorder = recorder;
    this.#kind = kind;
  }
  async create(owner: KubeObject, template: PodTemplateSpec, signal: AbortSignal, namePrefix?: string): Promise<Pod> {
    try {
      const pod = await this.#client.of(PODS).create(podFromTemplate(template, owner, this.#kind, namePrefix), { signal });
      this.#recorder.event(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${nameOf(pod)}`);
      return pod;
    } catch (err) {
      if (!isNamespaceTerminating(err) && !signal.aborted) this.#recorder.event(owner, 'Warning', 'FailedCreate', `Error creating: ${StatusError.from(err).message}`);
      throw err;
    }
  }
  /** Rejects with NotFound or Conflict, untold, when the Pod is gone already and perhaps replaced by a namesake. */
  async delete(owner: KubeObject, pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.of(PODS).delete(namespaceOf(pod), nameOf(pod), { preconditions: { uid: uidOf(pod) } }, signal);
      this.#recorder.event(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${nameOf(pod)}`);
    } catch (err) {
      if (!isGone(err) && !signal.aborted) this.#recorder.event(owner, 'Warning', 'FailedDelete', `Error deleting: ${StatusError.from(err).message}`);
      throw err;
    }
  }
}
