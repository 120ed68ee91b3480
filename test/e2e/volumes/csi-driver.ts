/**
 * A small CSI driver over directories: a volume is a directory (or a loop device over a file), staging and publishing are bind mounts.
 * It registers with the kubelet as drivers do, notes down what it is asked, and plays the external attacher's part.
 */
import { execFile } from 'node:child_process';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import type { VolumeAttachment } from '#api/gen/storage-v1.ts';
import type { Client } from '#client/client.ts';
import { VOLUME_ATTACHMENTS } from '#client/kinds.ts';
import { csiCodec, csiFacts } from '#kubelet/csi/protocol.ts';
import type { Messages, NodePublishVolumeRequest, NodeStageVolumeRequest, Type } from '#kubelet/csi/types.ts';
import type { RegistrationStatus } from '#kubelet/plugins/types.ts';
import { serveRegistration } from '#kubelet/testing/plugin-registration.ts';

const run = promisify(execFile);

export interface Call {
  readonly method: string;
  readonly request: Readonly<Record<string, unknown>>;
}
export interface DriverOptions {
  readonly name: string;
  /** Holds the volumes and the driver's own socket. */
  readonly dir: string;
  readonly kubeletDir: string;
  readonly nodeId: string;
  readonly capabilities: readonly Type[];
  readonly topology?: Readonly<Record<string, string>>;
}
type Handler = (request: never) => Promise<object>;

export class TestDriver implements AsyncDisposable {
  readonly calls: Call[] = [];
  readonly statuses: RegistrationStatus[] = [];
  /** Methods that fail, with what they say. */
  readonly failures = new Map<string, string>();
  readonly #o: DriverOptions;
  readonly #server = new grpc.Server();
  #registration: AsyncDisposable | undefined;
  readonly #abort = new AbortController();
  readonly #loops = new Map<string, string>();
  readonly #mounts = new Set<string>();
  #attacher: Promise<void> = Promise.resolve();
  #onCall: (() => void)[] = [];

  constructor(options: DriverOptions) {
    this.#o = options;
  }
  volumeDir(id: string): string {
    return join(this.#o.dir, 'volumes', id);
  }
  get #socket(): string {
    return join(this.#o.dir, 'csi.sock');
  }
  get #registrationSocket(): string {
    return join(this.#o.kubeletDir, 'plugins_registry', `${this.#o.name}-reg.sock`);
  }
  /** Serves and registers. */
  async start(): Promise<void> {
    await mkdir(this.#o.dir, { recursive: true });
    this.#addNode();
    await listen(this.#server, this.#socket);
    await this.register();
  }
  async register(): Promise<void> {
    const { name } = this.#o;
    this.#registration = await serveRegistration(this.#registrationSocket, { type: 'CSIPlugin', name, endpoint: this.#socket, supportedVersions: ['1.0.0'] }, (status) => {
      this.statuses.push(status);
      for (const told of this.#onCall.splice(0)) told();
    });
  }
  async unregister(): Promise<void> {
    await this.#registration?.[Symbol.asyncDispose]();
  }
  /** Answers VolumeAttachments as an external attacher does. */
  attachFor(client: Client): void {
    this.#attacher = this.#attach(client).catch((error: Error) => {
      if (!this.#abort.signal.aborted) process.stderr.write(`the attacher ended: ${error.message}\n`);
    });
  }
  callsOf(method: string): Readonly<Record<string, unknown>>[] {
    return this.calls.filter((c) => c.method === method).map((c) => c.request);
  }
  /** Resolves when the condition on the calls holds; rejects after 30 s. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const limit = AbortSignal.timeout(30_000);
    while (!holds()) {
      if (limit.aborted) throw new Error(`waiting for ${what}: only these calls came: ${JSON.stringify(this.calls.map((c) => c.method))}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onCall.push(resolve);
      const onAbort = (): void => resolve();
      limit.addEventListener('abort', onAbort, { once: true });
      await promise;
      limit.removeEventListener('abort', onAbort);
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#attacher;
    await this.unregister();
    this.#server.forceShutdown();
    for (const target of this.#mounts) await run('umount', [target]).catch(() => {});
    for (const device of this.#loops.values()) await run('losetup', ['-d', device]).catch(() => {});
    await rm(this.#o.dir, { recursive: true, force: true });
  }

  #addNode(): void {
    const { nodeId, capabilities, topology } = this.#o;
    const handlers: Record<string, Handler> = {
      NodeGetInfo: () => Promise.resolve({ nodeId, maxVolumesPerNode: 7, ...(topology ? { accessibleTopology: { segments: topology } } : {}) }),
      NodeGetCapabilities: () => Promise.resolve({ capabilities: capabilities.map((type) => ({ rpc: { type } })) }),
      NodeStageVolume: async (r: NodeStageVolumeRequest) => {
        if (r.volumeCapability?.block) return {};
        await mkdir(this.volumeDir(r.volumeId), { recursive: true });
        return await this.#bind(this.volumeDir(r.volumeId), r.stagingTargetPath);
      },
      NodePublishVolume: (r: NodePublishVolumeRequest) => this.#publish(r),
      NodeUnpublishVolume: (r: { targetPath: string }) => this.#unbind(r.targetPath),
      NodeUnstageVolume: (r: { stagingTargetPath: string }) => this.#unbind(r.stagingTargetPath),
      NodeGetVolumeStats: () => Promise.resolve({ usage: [{ unit: 'BYTES', total: 1000, available: 600, used: 400 }, { unit: 'INODES', total: 10, available: 8, used: 2 }] }),
      NodeExpandVolume: (r: { capacityRange?: { requiredBytes: number } }) => Promise.resolve({ capacityBytes: r.capacityRange?.requiredBytes ?? 0 }),
    };
    for (const [method, { in: input, out }] of Object.entries(csiFacts().services['Node']!)) {
      const answer = async (request: object): Promise<object> => {
        this.calls.push({ method, request: request as Record<string, unknown> });
        const failure = this.failures.get(method);
        if (failure !== undefined) throw new Error(failure);
        return await handlers[method]!(request as never);
      };
      const handle = ({ request }: { request: object }, reply: grpc.sendUnaryData<unknown>): void => {
        answer(request).then((value) => reply(null, value), (error: Error) => reply({ code: grpc.status.INTERNAL, details: error.message })).finally(() => {
          for (const told of this.#onCall.splice(0)) told();
        });
      };
      this.#server.register(`/csi.v1.Node/${method}`, handle, csiCodec(out as keyof Messages).encode as grpc.serialize<unknown>, csiCodec(input as keyof Messages).decode as grpc.deserialize<never>, 'unary');
    }
  }
  async #publish(r: NodePublishVolumeRequest): Promise<object> {
    if (r.volumeCapability?.block) {
      await writeFile(r.targetPath, '', { flag: 'a' });
      return await this.#bind(await this.#loop(r.volumeId), r.targetPath);
    }
    await mkdir(r.targetPath, { recursive: true });
    await mkdir(this.volumeDir(r.volumeId), { recursive: true });
    return await this.#bind(r.stagingTargetPath || this.volumeDir(r.volumeId), r.targetPath, r.readonly);
  }
  async #loop(id: string): Promise<string> {
    const known = this.#loops.get(id);
    if (known) return known;
    await mkdir(join(this.#o.dir, 'volumes'), { recursive: true });
    const file = `${this.volumeDir(id)}.img`;
    await writeFile(file, '', { flag: 'a' });
    await truncate(file, 1 << 20);
    const { stdout } = await run('losetup', ['--find', '--show', file]);
    this.#loops.set(id, stdout.trim());
    return stdout.trim();
  }
  /** Idempotent, as the specification wants it. */
  async #bind(source: string, target: string, readOnly = false): Promise<object> {
    if (this.#mounts.has(target)) return {};
    await run('mount', ['--bind', source, target]);
    if (readOnly) await run('mount', ['-o', 'remount,bind,ro', target]);
    this.#mounts.add(target);
    return {};
  }
  async #unbind(target: string): Promise<object> {
    if (this.#mounts.delete(target)) await run('umount', [target]);
    return {};
  }
  async #attach(client: Client): Promise<void> {
    const { signal } = this.#abort;
    const attachments = client.of(VOLUME_ATTACHMENTS);
    const finalizer = `external-attacher/${this.#o.name.replaceAll('.', '-')}`;
    const sync = async (a: VolumeAttachment): Promise<void> => {
      if (a.spec.attacher !== this.#o.name) return;
      const finalizers = a.metadata.finalizers ?? [];
      if (a.metadata.deletionTimestamp) {
        if (finalizers.includes(finalizer)) await attachments.patch('', a.metadata.name!, 'application/merge-patch+json', { metadata: { finalizers: finalizers.filter((f) => f !== finalizer) } });
      } else if (!finalizers.includes(finalizer)) {
        await attachments.patch('', a.metadata.name!, 'application/merge-patch+json', { metadata: { finalizers: [...finalizers, finalizer] } });
      } else if (!a.status?.attached) {
        await attachments.patch('', a.metadata.name!, 'application/merge-patch+json', { status: { attached: true, attachmentMetadata: { device: `disk-of-${a.spec.source.persistentVolumeName}` } } }, { subresource: 'status' });
      }
    };
    const { items, metadata } = await attachments.list({ signal });
    for (const a of items) await sync(a);
    for await (const batch of attachments.watch({ resourceVersion: metadata.resourceVersion ?? '0' }, signal)) {
      for (const event of batch) if (event.type === 'ADDED' || event.type === 'MODIFIED') await sync(event.object);
    }
  }
}
async function listen(server: grpc.Server, path: string): Promise<void> {
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => server.bindAsync(`unix://${path}`, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())));
}
