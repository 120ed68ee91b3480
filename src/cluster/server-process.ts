/** The cluster's own process: everything in the table of components, from start to stop. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { AuditLog } from '#apiserver/audit/audit-log.ts';
import { DEFAULT_ISSUER } from '#apiserver/authentication/authentication.ts';
import { AuthenticationFile } from '#apiserver/authentication/configured.ts';
import { AuthorizationFile } from '#apiserver/authorization/configured.ts';
import { EncryptionAtRest } from '#apiserver/encryption/encryption.ts';
import { openTracing } from '#apiserver/tracing/tracing.ts';
import { systemClock } from '#base/clock.ts';
import { configureLogging } from '#base/logger.ts';
import { componentTable, type Assembly } from './components.ts';
import { writeAdminKubeconfig } from './certificates.ts';
import { ensureClusterConfig, type ClusterChoices } from './config.ts';
import { readNodeFiles } from './node-files.ts';
import { podMtuOf } from './node-runtime.ts';
import { runComponents } from './process.ts';
import type { ProgressReporter } from './progress.ts';

/**
 * Runs a cluster until `signal` aborts or a component fails. Resolves after everything was stopped; rejects with what failed.
 * `reporter` hears of each step and of readiness. When `powerDown` aborts, the Pods are stopped as at a shutdown of the machine before all else is.
 */
export async function runCluster(choices: ClusterChoices, reporter: ProgressReporter | undefined, signal: AbortSignal, powerDown: AbortSignal = new AbortController().signal): Promise<void> {
  const clock = systemClock;
  const config = await ensureClusterConfig(choices);
  configureLogging({ level: config.logLevel });
  // Read before anything is claimed or started: a file that cannot be used stops the start.
  const audit = await AuditLog.open({ policyPath: join(config.dataDir, 'audit-policy.yaml'), logPath: join(config.dataDir, 'audit.log'), webhookPath: join(config.dataDir, 'audit-webhook.yaml'), clock });
  const encryption = await EncryptionAtRest.open(join(config.dataDir, 'encryption.yaml'), clock);
  const authentication = await AuthenticationFile.open({ path: join(config.dataDir, 'authentication.yaml'), clock, disallowedIssuers: [DEFAULT_ISSUER] });
  const authorization = await AuthorizationFile.open({ path: join(config.dataDir, 'authorization.yaml'), clock, random: Math.random });
  const files = await readNodeFiles(config);
  const podMtu = await podMtuOf(config);
  const tracing = await openTracing(join(config.dataDir, 'tracing.yaml'), randomUUID());
  await runComponents<Assembly>({ config, clock, reporter, signal, powerDown }, {
    assemble: (parts) => ({ ...parts, ...files, podMtu, config, encryption, authentication, authorization, tracing, audit }),
    table: componentTable,
    onStarted: ({ config, pki, changes }) => writeAdminKubeconfig(config, pki!, changes),
    async close() {
      await audit?.close();
      await tracing?.close();
    },
  });
}
