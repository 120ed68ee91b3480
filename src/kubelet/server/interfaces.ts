/** What the kubelet's server asks of the rest of the kubelet and of the cluster. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { RemoteCommandStreams } from '#machinery/httpstream/remotecommand.ts';
import type { LogOptions } from '../logs/log-options.ts';
import type { StorageDirectories } from '../volumes/storage-directories.ts';

export interface KubeletHost {
  /** The Pods of the node as they were last seen by the kubelet, with the status that it has made. */
  pods(): readonly Pod[];
  podByName(namespace: string, name: string): Pod | undefined;
  /** The Pods that the runtime has, in the little that it knows of them. */
  runningPods(signal: AbortSignal): Promise<readonly Pod[]>;
  /** Reasons why the sync loop is not healthy; undefined when it is. */
  syncLoopProblem(): string | undefined;
  /**
   * Where the runtime will run a command, join a container or forward ports: a URL of its streaming server that works once. Undefined when the Pod
   * has no such container running. Rejections are shown to the client.
   */
  execUrl(pod: Pod, container: string, command: readonly string[], streams: RemoteCommandStreams, signal: AbortSignal): Promise<URL | undefined>;
  attachUrl(pod: Pod, container: string, streams: RemoteCommandStreams, signal: AbortSignal): Promise<URL | undefined>;
  /**
   * All that a short-lived container printed, once it has ended: for a client that came to attach when everything had been printed. Nothing of a
   * container that had run for a while when it was asked for, at `askedAtMs`, nor of one that goes on.
   */
  missedOutput(pod: Pod, container: string, stream: 'Stdout' | 'Stderr', askedAtMs: number, signal: AbortSignal): AsyncIterable<Buffer>;
  portForwardUrl(pod: Pod, ports: readonly number[], signal: AbortSignal): Promise<URL>;
  /** Runs a command and gives its stdout and stderr in one. Undefined when there is no such container running; rejects when the command fails. */
  run(pod: Pod, container: string, command: readonly string[], signal: AbortSignal): Promise<Buffer | undefined>;
  /** Writes the state of a running container to an archive and gives its path. `timeoutSeconds` 0: the runtime's own. Rejects with what the runtime says. */
  checkpoint(pod: Pod, container: string, timeoutSeconds: number, signal: AbortSignal): Promise<string>;
  /** The log of a container; rejects before the first piece with what the client is to read. */
  logs(pod: Pod, container: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Buffer>;
  /** The object of `/stats/summary` (stats/v1alpha1 Summary). */
  statsSummary(onlyCpuAndMemory: boolean, signal: AbortSignal): Promise<unknown>;
  /** Directory of the node's own logs; undefined: they are not served. */
  nodeLogsDir(): string | undefined;
  /** Where volumes of the built-in provisioner lie. */
  readonly storage: StorageDirectories;
  /** The node's configuration as `/configz` shows it. */
  configuration(): object;
  /** Metrics in the Prometheus text format. */
  metrics(kind: MetricsKind, signal: AbortSignal): Promise<string>;
}
export type MetricsKind = 'kubelet' | 'resource' | 'cadvisor' | 'probes';

export interface UserInfo {
  readonly name: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}
/** What is to be allowed: `verb` on `nodes/<subresource>` of this node. */
export interface NodeAttributes {
  readonly user: UserInfo;
  readonly verb: string;
  readonly subresource: string;
  readonly path: string;
}
/** Who may use the server. The API server decides (TokenReview, SubjectAccessReview), behind a cache. */
export interface KubeletAuth {
  /** The user of a bearer token, undefined when the token is not good. Client certificates are the server's own business. */
  authenticateToken(token: string, signal: AbortSignal): Promise<UserInfo | undefined>;
  authorize(attributes: NodeAttributes, signal: AbortSignal): Promise<boolean>;
}
