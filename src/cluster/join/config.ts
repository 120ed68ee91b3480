/** What a machine is that has joined a cluster whose server runs elsewhere. Written down by `podyard join`. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ownName, placesOf, readClusterConfig, type ClusterConfig, type NodeConfig } from '../config.ts';
import { readIfThere, writeSecretFile } from '../pki.ts';

export interface JoinedConfig extends NodeConfig {
  /** `https://10.0.0.5:6443` */
  readonly server: string;
}
/** What a user may choose of a node that joins. */
export interface NodeChoices {
  readonly dataDir: string;
  readonly nodeName?: string | undefined;
  readonly nodeIP?: string | undefined;
  readonly kubeletPort?: number | undefined;
  readonly containerRuntimeEndpoint?: string | undefined;
  readonly logLevel?: string | undefined;
}
/** What a node is told of the cluster that it joins. */
export type ClusterFacts = Pick<JoinedConfig, 'server' | 'clusterCIDR' | 'dnsIP' | 'clusterDomain' | 'podNetwork'>;

const fileOf = (dataDir: string): string => join(resolve(dataDir), 'node.json');

/** The name that a node will have. */
export function nodeNameOf(choices: Pick<NodeChoices, 'nodeName'>, before?: NodeConfig): string {
  return choices.nodeName ?? before?.nodeName ?? ownName();
}
/** Choices over what held before, over the defaults. `ownIP`: the address by which this machine reaches the server. */
export function newJoinedConfig(choices: NodeChoices, facts: ClusterFacts, ownIP: string, before?: JoinedConfig): JoinedConfig {
  const places = placesOf(choices.dataDir);
  return {
    ...places,
    // That of the administrator lies where the server is; this one is the node's own.
    kubeconfig: join(places.dataDir, 'kubeconfig.yaml'),
    nodeName: nodeNameOf(choices, before),
    nodeIP: choices.nodeIP ?? ownIP,
    hasChosenIP: choices.nodeIP !== undefined,
    kubeletPort: choices.kubeletPort ?? before?.kubeletPort ?? 10_250,
    containerRuntimeEndpoint: choices.containerRuntimeEndpoint ?? before?.containerRuntimeEndpoint,
    logLevel: choices.logLevel ?? before?.logLevel ?? 'info',
    ...facts,
  };
}
/** The configuration of a machine that has joined; undefined where none has from this data directory. */
export async function readJoinedConfig(dataDir: string): Promise<JoinedConfig | undefined> {
  const text = await readIfThere(fileOf(dataDir));
  return text === undefined ? undefined : (JSON.parse(text) as JoinedConfig);
}
export async function writeJoinedConfig(config: JoinedConfig): Promise<void> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o711 });
  await writeSecretFile(fileOf(config.dataDir), `${JSON.stringify(config, undefined, 2)}\n`);
}
/** What runs from a data directory: a cluster, or a node that has joined one. */
export async function readMachineConfig(dataDir: string): Promise<ClusterConfig | JoinedConfig | undefined> {
  return (await readClusterConfig(dataDir)) ?? (await readJoinedConfig(dataDir));
}
export function hasJoined(config: ClusterConfig | JoinedConfig): config is JoinedConfig {
  return 'server' in config;
}
