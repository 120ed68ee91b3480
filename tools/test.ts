/**
 * The test command. Without arguments: check, unit tests, integration tests, end-to-end tests, in that order, stopping at the first that fails.
 * Arguments choose suites: `check`, `unit`, `integration`, `e2e`; or name test files or folders.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Suite {
  readonly patterns: readonly string[];
  /** Flags for `node --test`. */
  readonly flags: readonly string[];
  /** Its tests leave no file behind in the system's directory for temporary ones. */
  readonly tidy?: boolean;
}
const SUITES: Readonly<Record<string, Suite>> = {
  unit: { patterns: ['src/**/*.test.ts', 'tools/**/*.test.ts'], flags: ['--test-isolation=none', '--test-timeout=60000'], tidy: true },
  integration: { patterns: ['test/integration/**/*.test.ts'], flags: ['--test-concurrency=1', '--test-timeout=300000'] },
  e2e: { patterns: ['test/e2e/**/*.test.ts'], flags: ['--test-concurrency=2', '--test-timeout=600000'] },
};

function node(args: readonly string[], env?: Readonly<Record<string, string>>): boolean {
  return spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status === 0;
}
function runFiles(files: readonly string[], { flags, tidy }: Suite): boolean {
  if (files.length === 0) return true;
  const args = ['--test', ...flags, ...files];
  return tidy ? leavesNothing((dir) => node(args, { TMPDIR: dir })) : node(args);
}
/** Runs with a directory of its own for temporary files, in which nothing may be left. */
function leavesNothing(run: (dir: string) => boolean): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'podyard-unit-'));
  try {
    const passed = run(dir);
    const left = readdirSync(dir);
    if (left.length) console.error(`left behind in ${dir}:\n  ${left.join('\n  ')}`);
    return passed && left.length === 0;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
function runSuite(name: string): boolean {
  if (name === 'check') return node(['tools/check.ts']);
  const suite = SUITES[name];
  if (suite) return runFiles(globSync(suite.patterns as string[], { cwd: root }).toSorted(), suite);
  if (!existsSync(`${root}/${name}`)) throw new Error(`"${name}" is neither a suite (check, ${Object.keys(SUITES).join(', ')}) nor a file`);
  const files = statSync(`${root}/${name}`).isDirectory() ? globSync(`${name}/**/*.test.ts`, { cwd: root }).toSorted() : [name];
  return runFiles(files, name.startsWith('src') ? SUITES['unit']! : SUITES['e2e']!);
}

const wanted = process.argv.slice(2);
for (const name of wanted.length ? wanted : ['check', 'unit', 'integration', 'e2e']) {
  const started = performance.now();
  const ok = runSuite(name);
  console.log(`${name}: ${ok ? 'passed' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  if (!ok) {
    process.exitCode = 1;
    break;
  }
}
