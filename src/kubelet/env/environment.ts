/** The environment of a container. Source: API reference EnvVar and EnvFromSource; upstream's counterpart: makeEnvironmentVariables. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnvVar, EnvVarSource, Pod, Service } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { getOwn } from '#base/own.ts';
import type { Informer } from '#client/informer.ts';
import { isReason } from '#machinery/status-error.ts';
import { StartError, type AnyContainer, type EnvironmentMaker } from '../interfaces.ts';
import type { NodeObjects } from '../objects.ts';
import { expand } from './expand.ts';
import { fieldValue, resourceValue, type NodeFacts } from './field-ref.ts';

export interface EnvironmentOptions {
  readonly objects: NodeObjects;
  readonly services: Informer<Service>;
  readonly node: () => NodeFacts;
  /** Host directory of a ready emptyDir volume, for `fileKeyRef`. */
  volumePath(uid: string, volume: string): string;
}

const configError = (message: string): StartError => new StartError('CreateContainerConfigError', message);

export function newEnvironmentMaker(options: EnvironmentOptions): EnvironmentMaker {
  const { objects } = options;

  async function keyOf(kind: 'configMaps' | 'secrets', pod: Pod, ref: { name?: string | undefined; key: string; optional?: boolean | undefined }, signal: AbortSignal): Promise<string | undefined> {
    const noun = kind === 'secrets' ? 'secret' : 'configmap';
    const namespace = pod.metadata.namespace!;
    try {
      const found = await objects[kind].get(namespace, ref.name ?? '', signal);
      const value = getOwn<string>(found.data, ref.key);
      if (value !== undefined) return kind === 'secrets' ? Buffer.from(value, 'base64').toString('utf8') : value;
      if (ref.optional) return undefined;
      throw configError(`couldn't find key ${ref.key} in ${kind === 'secrets' ? 'Secret' : 'ConfigMap'} ${namespace}/${ref.name}`);
    } catch (err) {
      if (isReason(err, 'NotFound')) {
        if (ref.optional) return undefined;
        throw configError(`${noun} "${ref.name}" not found`);
      }
      throw err;
    }
  }
  async function valueFrom(pod: Pod, container: AnyContainer, source: EnvVarSource, podIPs: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    if (source.fieldRef) return fieldValue(pod, source.fieldRef.fieldPath, podIPs, options.node());
    if (source.resourceFieldRef) {
      const { containerName } = source.resourceFieldRef;
      const of = containerName ? [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((c) => c.name === containerName) : container;
      if (!of) throw configError(`container ${containerName} not found`);
      return resourceValue(of, source.resourceFieldRef, options.node());
    }
    if (source.configMapKeyRef) return await keyOf('configMaps', pod, source.configMapKeyRef, signal);
    if (source.secretKeyRef) return await keyOf('secrets', pod, source.secretKeyRef, signal);
    if (source.fileKeyRef) return await fileKey(pod, source.fileKeyRef);
    return undefined;
  }
  async function fileKey(pod: Pod, ref: NonNullable<EnvVarSource['fileKeyRef']>): Promise<string | undefined> {
    const path = join(options.volumePath(pod.metadata.uid!, ref.volumeName), ref.path);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const line = text?.split('\n').find((l) => l.startsWith(`${ref.key}=`));
    if (line !== undefined) return line.slice(ref.key.length + 1).replace(/^'(.*)'$/, '$1');
    if (ref.optional) return undefined;
    throw configError(`environment variable key "${ref.key}" not found in file "${ref.path}"`);
  }
  async function fromSources(pod: Pod, container: AnyContainer, signal: AbortSignal): Promise<Map<string, string>> {
    const out = new Map<string, string>();
    for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
      const ref = configMapRef ?? secretRef;
      if (!ref) continue;
      try {
        const found = await objects[configMapRef ? 'configMaps' : 'secrets'].get(pod.metadata.namespace!, ref.name ?? '', signal);
        for (const [k, v] of Object.entries(found.data ?? {})) out.set(prefix + k, configMapRef ? v : Buffer.from(v, 'base64').toString('utf8'));
      } catch (err) {
        if (!isReason(err, 'NotFound')) throw err;
        if (!ref.optional) throw configError(`${configMapRef ? 'configmap' : 'secret'} "${ref.name}" not found`);
      }
    }
    return out;
  }

  async function environmentOf(pod: Pod, container: AnyContainer, podIPs: readonly string[], signal: AbortSignal): Promise<{ key: string; value: string }[]> {
    const services = serviceVariables(pod, options.services);
    const result = await fromSources(pod, container, signal);
    // References see what stands before them, and the services' variables; a later definition of a name wins.
    const known = new Map([...services, ...result]);
    for (const variable of container.env ?? []) {
      const value = await valueOf(pod, container, variable, known, podIPs, signal);
      if (value === undefined) continue;
      result.set(variable.name, value);
      known.set(variable.name, value);
    }
    for (const [k, v] of services) if (!result.has(k)) result.set(k, v);
    return Array.from(result, ([key, value]) => ({ key, value }));
  }
  async function valueOf(pod: Pod, container: AnyContainer, variable: EnvVar, known: ReadonlyMap<string, string>, podIPs: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    if (!variable.valueFrom || variable.value) return expand(variable.value ?? '', known);
    return await valueFrom(pod, container, variable.valueFrom, podIPs, signal);
  }
  return { environmentOf };
}

/** `REDIS_SERVICE_HOST` and its kin: of the Pod's namespace where enableServiceLinks says so, and of the API server's Service always. */
export function serviceVariables(pod: Pod, services: Pick<Informer<Service>, 'list' | 'get'>): Map<string, string> {
  const out = new Map<string, string>();
  const master = services.get('default', 'kubernetes');
  const own = pod.spec.enableServiceLinks === false ? [] : services.list(pod.metadata.namespace);
  const all = [...own, ...(master && !own.includes(master) ? [master] : [])].filter((s) => s.spec.clusterIP && s.spec.clusterIP !== 'None');
  for (const service of all.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))) addService(out, service);
  return out;
}
function addService(out: Map<string, string>, service: Service): void {
  const prefix = nameOf(service).toUpperCase().replaceAll('-', '_');
  const ip = service.spec.clusterIP!;
  const ports = service.spec.ports ?? [];
  if (ports.length === 0) return;
  const host = ip.includes(':') ? `[${ip}]` : ip;
  out.set(`${prefix}_SERVICE_HOST`, ip);
  out.set(`${prefix}_SERVICE_PORT`, String(ports[0]!.port));
  for (const p of ports) if (p.name) out.set(`${prefix}_SERVICE_PORT_${p.name.toUpperCase().replaceAll('-', '_')}`, String(p.port));
  ports.forEach((p, i) => {
    const protocol = (p.protocol ?? 'TCP').toLowerCase();
    const url = `${protocol}://${host}:${p.port}`;
    const base = `${prefix}_PORT_${p.port}_${protocol.toUpperCase()}`;
    if (i === 0) out.set(`${prefix}_PORT`, url);
    out.set(base, url);
    out.set(`${base}_PROTO`, protocol);
    out.set(`${base}_PORT`, String(p.port));
    out.set(`${base}_ADDR`, ip);
  });
}
