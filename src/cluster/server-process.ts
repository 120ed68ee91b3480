/** The cluster's own process: everything in the table of components, from start to stop. */
import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { load } from 'js-yaml';
import { AuditLog } from '#apiserver/audit/audit-log.ts';
import { DEFAULT_ISSUER } from '#apiserver/authentication/authentication.ts';
import { AuthenticationFile } from '#apiserver/authentication/configured.ts';
import { AuthorizationFile } from '#apiserver/authorization/configured.ts';
import { EncryptionAtRest } from '#apiserver/encryption/encryption.ts';
import { openTracing } from '#apiserver/tracing/tracing.ts';
import { systemClock } from '#base/clock.ts';
import { ComponentGroup } from '#base/component-group.ts';
import { configureLogging, logger } from '#base/logger.ts';
import { componentTable, type Assembly } from './components.ts';
import { adminNames, ensureClusterConfig, type ClusterChoices, type ClusterConfig } from './config.ts';
import type { KubeletConfig } from '#kubelet/config.ts';
import { parseKubeletConfiguration } from '#kubelet/configuration.ts';
import { claimPidFile, releasePidFile } from './daemon.ts';
import { writeKubeconfig } from './pki.ts';
import { collectWhenIdle, thisProcess } from './idle-garbage.ts';
import type { ProgressReporter } from './progress.ts';
import { remedyOf } from './remedy.ts';
import { readCredentialProviders } from './credential-provider-file.ts';
import { HostChangeJournal } from './runtime/host-changes.ts';
import { NO_REGISTRIES, parseRegistries, type Registries } from './runtime/registries.ts';

const log = logger('podyard');

/** `registries.yaml` of the data directory or of `/etc/podyard`; none is fine. */
async function readRegistries(config: ClusterConfig): Promise<Registries> {
  for (const path of [join(config.dataDir, 'registries.yaml'), '/etc/podyard/registries.yaml']) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return parseRegistries(load(text));
  }
  return NO_REGISTRIES;
}

/** `kubelet.yaml` of the data directory; none is fine. */
async function readKubeletChoices(config: ClusterConfig): Promise<Partial<KubeletConfig>> {
  const path = join(config.dataDir, 'kubelet.yaml');
  const text = await readFile(path, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return undefined;
    throw err;
  });
  try {
    return text === undefined ? {} : parseKubeletConfiguration(text);
  } catch (err) {
    throw new Error(`reading ${path}: ${(err as Error).message}`, { cause: err });
  }
}

/**
 * Runs a cluster until `signal` aborts or a component fails. Resolves after everything was stopped; rejects with what failed.
 * `reporter` hears of each step and of readiness. When `powerDown` aborts, the Pods are stopped as at a shutdown of the machine before all else is.
 */
export async function runCluster(choices: ClusterChoices, reporter: ProgressReporter | undefined, signal: AbortSignal, powerDown: AbortSignal = new AbortController().signal): Promise<void> {
  const clock = systemClock;
  const began = clock.monotonic();
  const config = await ensureClusterConfig(choices);
  configureLogging({ level: config.logLevel });
  // Read before anything is claimed or started: a file that cannot be used stops the start.
  const audit = await AuditLog.open({ policyPath: join(config.dataDir, 'audit-policy.yaml'), logPath: join(config.dataDir, 'audit.log'), webhookPath: join(config.dataDir, 'audit-webhook.yaml'), clock });
  const encryption = await EncryptionAtRest.open(join(config.dataDir, 'encryption.yaml'), clock);
  const authentication = await AuthenticationFile.open({ path: join(config.dataDir, 'authentication.yaml'), clock, disallowedIssuers: [DEFAULT_ISSUER] });
  const authorization = await AuthorizationFile.open({ path: join(config.dataDir, 'authorization.yaml'), clock, random: Math.random });
  const kubeletChoices = await readKubeletChoices(config);
  const credentialProviders = await readCredentialProviders(config.dataDir);
  const tracing = await openTracing(join(config.dataDir, 'tracing.yaml'), randomUUID());
  await claimPidFile(config);
  const changes = await HostChangeJournal.open(join(config.dataDir, 'host-changes.jsonl'), clock);
  await changes.record('empty-directory', config.runDir);
  const ready = new Set<string>();
  const assembly: Assembly = { ready, config, clock, changes, registries: await readRegistries(config), kubeletChoices, credentialProviders, encryption, authentication, authorization, tracing, audit };
  const onReady = (name: string, ms: number): void => {
    ready.add(name);
    reporter?.tell({ type: 'step', name, ms });
  };
  const over = new AbortController();
  const collecting = collectWhenIdle({ clock, ...thisProcess() }, over.signal);
  const group = new ComponentGroup(componentTable(assembly), () => clock.monotonic(), { onReady });
  try {
    await group.start(signal);
    await writeAdminKubeconfig(assembly);
    reporter?.tell({ type: 'ready', ms: clock.monotonic() - began });
    reporter?.close();
    log.info({ ms: Math.round(clock.monotonic() - began) }, 'The cluster is ready');
    const failure = await Promise.race([group.failed, aborted(signal), aborted(powerDown).then(() => assembly.kubelet?.shutDownNode(signal))]);
    if (failure) throw failure;
  } catch (err) {
    if (!signal.aborted) reporter?.tell({ type: 'failed', message: (err as Error).message, remedy: remedyOf(err) });
    throw err;
  } finally {
    over.abort();
    await collecting;
    await group.stop();
    await audit?.close();
    await tracing?.close();
    await changes.close();
    await releasePidFile(config);
  }
}

async function writeAdminKubeconfig({ config, pki, changes }: Assembly): Promise<void> {
  const { cluster, user, context } = adminNames(config);
  await changes.record('empty-directory', dirname(config.kubeconfig));
  await changes.record('file', config.kubeconfig);
  await writeKubeconfig(config.kubeconfig, { server: `https://127.0.0.1:${config.apiPort}`, ca: pki!.ca.cert, cluster, user, context, credentials: pki!.clients.admin });
}
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
}
