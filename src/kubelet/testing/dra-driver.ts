/** A DRA driver's plugin as its authors write them: it registers, prepares claims and gives them back, tells how devices are, publishes what it has. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import type { Client } from '#client/client.ts';
import { RESOURCE_CLAIMS, RESOURCE_SLICES } from '#client/kinds.ts';
import { startGrpcServer } from '#cri/testing/grpc-server.ts';
import type { Init } from '#cri/schema.ts';
import { healthCodec } from '../dra/health/protocol.ts';
import type { DeviceHealth } from '../dra/health/types.ts';
import { draCodec } from '../dra/protocol.ts';
import type { Claim, Device } from '../dra/types.ts';
import type { RegistrationStatus } from '../plugins/types.ts';
import { serveRegistration } from './plugin-registration.ts';

export interface TestDraDriverOptions {
  readonly name: string;
  /** The kubelet's directory. */
  readonly kubeletDir: string;
  /** Tells instances of one driver apart, where there are several. */
  readonly instance?: string;
  /** Services that are announced. Default: `v1.DRAPlugin`. */
  readonly services?: readonly string[];
  /** The service that is served. Default: `v1`. */
  readonly version?: 'v1' | 'v1beta1';
  /** Devices of a claim; may throw, which is told as the claim's error. Default: one without CDI devices. */
  readonly prepare?: (claim: Claim) => readonly Init<Device>[] | Promise<readonly Init<Device>[]>;
  readonly unprepare?: (claim: Claim) => void;
  /** Serves the health of devices. */
  readonly health?: boolean;
}
export interface TestDraDriver extends AsyncDisposable {
  /** What the kubelet told of each registration so far. */
  readonly statuses: readonly RegistrationStatus[];
  /** Names of the claims of each call so far. */
  readonly prepared: readonly (readonly string[])[];
  readonly unprepared: readonly (readonly string[])[];
  readonly endpoint: string;
  /** Ends what the kubelet is connected to, and takes it up again; the registration stays. */
  disconnect(): Promise<void>;
  connect(): Promise<void>;
  tellHealth(devices: readonly Init<DeviceHealth>[]): void;
}

/** Serves and registers; without an `instance` in the place of one of an earlier process. */
export async function startDraDriver(options: TestDraDriverOptions): Promise<TestDraDriver> {
  const { name, kubeletDir, instance, version = 'v1' } = options;
  const suffix = instance === undefined ? '' : `-${instance}`;
  const endpoint = join(kubeletDir, 'plugins', name, `dra${suffix}.sock`);
  const registry = join(kubeletDir, 'plugins_registry', `${name}${suffix}-reg.sock`);
  const statuses: RegistrationStatus[] = [];
  const [prepared, unprepared]: [string[][], string[][]] = [[], []];
  const listeners = new Set<(message: Buffer) => void>();
  let told: Buffer | undefined;
  await mkdir(dirname(endpoint), { recursive: true });

  /** Answers for each claim, with what went wrong where it throws. */
  const each = async <T extends object>(claims: readonly Claim[], answer: (claim: Claim) => T | Promise<T>): Promise<Record<string, T | { error: string }>> => {
    const out: Record<string, T | { error: string }> = {};
    for (const claim of claims) {
      try {
        out[claim.uid] = await answer(claim);
      } catch (err) {
        out[claim.uid] = { error: (err as Error).message };
      }
    }
    return out;
  };
  const service = `/k8s.io.kubelet.pkg.apis.dra.${version}.DRAPlugin`;
  const handlers = {
    [`${service}/NodePrepareResources`]: { handle: async ({ request }: { request: Buffer }) => {
      const { claims } = draCodec('NodePrepareResourcesRequest').decode(request);
      prepared.push(claims.map((c) => c.name));
      return draCodec('NodePrepareResourcesResponse').encode({ claims: await each(claims, async (c) => ({ devices: await (options.prepare ?? (() => [{ poolName: 'pool', deviceName: 'device-1' }]))(c) })) });
    } },
    [`${service}/NodeUnprepareResources`]: { handle: async ({ request }: { request: Buffer }) => {
      const { claims } = draCodec('NodeUnprepareResourcesRequest').decode(request);
      unprepared.push(claims.map((c) => c.name));
      return draCodec('NodeUnprepareResourcesResponse').encode({ claims: await each(claims, (c) => {
        options.unprepare?.(c);
        return {};
      }) });
    } },
    ...(options.health ? { '/v1alpha1.DRAResourceHealth/NodeWatchResources': { stream: true, handle: async ({ write, cancelled }: { write(message: Buffer): void; cancelled: Promise<void> }) => {
      if (told) write(told);
      listeners.add(write);
      await cancelled;
      listeners.delete(write);
    } } } : {}),
  };
  const serve = async (): Promise<AsyncDisposable> => {
    await rm(endpoint, { force: true });
    return await startGrpcServer(handlers, endpoint);
  };
  let server = await serve();
  const registration = await serveRegistration(registry, { type: 'DRAPlugin', name, endpoint, supportedVersions: options.services ?? [`${version}.DRAPlugin`] }, (status) => void statuses.push(status));
  return {
    statuses, prepared, unprepared, endpoint,
    async disconnect() {
      await server[Symbol.asyncDispose]();
      await rm(endpoint, { force: true });
    },
    async connect() {
      server = await serve();
    },
    tellHealth(devices) {
      told = healthCodec('NodeWatchResourcesResponse').encode({ devices });
      for (const write of listeners) write(told);
    },
    async [Symbol.asyncDispose]() {
      await registration[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await rm(endpoint, { force: true });
    },
  };
}

/** Devices of a driver on a node, as its plugin publishes them. */
export async function publishSlice(client: Client, driver: string, nodeName: string, devices: readonly string[], pool = nodeName): Promise<ResourceSlice> {
  return await client.of(RESOURCE_SLICES).create({
    apiVersion: 'resource.k8s.io/v1', kind: 'ResourceSlice', metadata: { name: `${nodeName}-${driver}` },
    spec: { driver, nodeName, pool: { name: pool, generation: 1, resourceSliceCount: 1 }, devices: devices.map((name) => ({ name })) },
  });
}
/** What the scheduler does with a claim: devices are given to it, and it is kept for a Pod. */
export async function allocateClaim(client: Client, claim: ResourceClaim, driver: string, node: string, devices: Readonly<Record<string, string>>, pods: readonly { readonly name: string; readonly uid: string }[]): Promise<ResourceClaim> {
  return await client.of(RESOURCE_CLAIMS).updateStatus({ ...claim, status: allocated(driver, node, devices, pods) });
}
/** The status of such a claim; `devices` by request. */
export function allocated(driver: string, node: string, devices: Readonly<Record<string, string>>, pods: readonly { readonly name: string; readonly uid: string }[]): NonNullable<ResourceClaim['status']> {
  return {
    allocation: {
      devices: { results: Object.entries(devices).map(([request, device]) => ({ request, driver, pool: node, device })) },
      nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }] },
    },
    reservedFor: pods.map(({ name, uid }) => ({ resource: 'pods', name, uid })),
  };
}
