/** The certificates of a server's machine, made where they are missing and anew while it runs, thirty days before they end. */
import { dirname, join } from 'node:path';
import { sleep, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { addressIn, adminNames, sansOf, type ClusterConfig } from './config.ts';
import { ensureClusterPki, ensureNodePki, renewalDue, writeKubeconfig, type ClusterPki, type NodePki } from './pki.ts';
import type { HostChanges } from './runtime/host-changes.ts';

const log = logger('certificates');
/** A timer holds no more than 2^31 − 1 ms. */
const LONGEST_SLEEP_MS = 86_400_000;
/** What cannot be written is tried again; and where the authority itself is near its end, its leaves cannot last longer. */
const RETRY_MS = 3_600_000;

export interface ServerCertificates {
  readonly pki: ClusterPki;
  readonly nodePki: NodePki;
}
export async function ensureCertificates(config: ClusterConfig, clock: Clock): Promise<ServerCertificates> {
  const dir = join(config.dataDir, 'pki');
  const pki = await ensureClusterPki({ dir, clusterDomain: config.clusterDomain, serviceIp: addressIn(config.serviceCIDR, 1), apiServerSans: [config.nodeIP, config.nodeName, ...sansOf(config)], clock });
  return { pki, nodePki: await ensureNodePki(pki, { dir, nodeName: config.nodeName, addresses: [config.nodeIP, '127.0.0.1'], clock }) };
}
export async function writeAdminKubeconfig(config: ClusterConfig, pki: ClusterPki, changes: HostChanges): Promise<void> {
  const { cluster, user, context } = adminNames(config);
  await changes.record('empty-directory', dirname(config.kubeconfig));
  await changes.record('file', config.kubeconfig);
  await writeKubeconfig(config.kubeconfig, { server: `https://127.0.0.1:${config.apiPort}`, ca: pki.ca.cert, cluster, user, context, credentials: pki.clients.admin });
}

export interface CertificateRenewalOptions {
  readonly clock: Clock;
  /** Those in use at the start. */
  readonly current: ServerCertificates;
  /** Makes anew what is near its end. */
  ensure(): Promise<ServerCertificates>;
  /** Puts others in use. */
  use(certificates: ServerCertificates): Promise<void>;
}
export function certificateRenewal({ clock, current, ensure, use }: CertificateRenewalOptions): Component {
  const abort = new AbortController();
  async function run(signal: AbortSignal): Promise<void> {
    let certificates = current;
    while (!signal.aborted) {
      const due = renewalDue(leavesOf(certificates), clock.now());
      try {
        if (due === 0) {
          const made = await ensure();
          if (leavesOf(made).join() !== leavesOf(certificates).join()) {
            await use(made);
            log.info('certificates near their end were made anew');
          }
          certificates = made;
        }
        await sleep(clock, due === 0 ? RETRY_MS : Math.min(due, LONGEST_SLEEP_MS), signal);
      } catch (err) {
        if (signal.aborted) return;
        log.warn({ err }, 'certificates were not made anew, trying again');
        await sleep(clock, RETRY_MS, signal).catch(() => {});
      }
    }
  }
  let running: Promise<void> = Promise.resolve();
  return {
    name: 'certificate renewal',
    start() {
      running = run(abort.signal);
      return Promise.resolve();
    },
    async stop() {
      abort.abort(new Error('the server is stopping'));
      await running;
    },
  };
}
function leavesOf({ pki, nodePki }: ServerCertificates): string[] {
  return [pki.apiServer, pki.frontProxyClient, ...Object.values(pki.clients), nodePki.client, nodePki.serving].map(({ cert }) => cert);
}
