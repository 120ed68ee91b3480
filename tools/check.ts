/**
 * Everything that reads the sources without running them: the import table, type check, lint, what nothing uses, stale generated files.
 * Prints what is wrong, one finding a line; exits 1 when there is any.
 */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const table = JSON.parse(readFileSync(new URL('layers.json', import.meta.url), 'utf8')) as Record<string, { imports: string[]; packages: string[] }>;
/** Static imports and re-exports at the start of a line, and dynamic imports of a literal. */
const IMPORT = /^(?:import|export)\b[^'";]*?\bfrom\s*'([^']+)'|^import\s*'([^']+)'|\bimport\('([^']+)'\)/gm;
const builtins = new Set(builtinModules);

/** Findings about one file's imports against the table. */
function layerFindings(file: string): string[] {
  const [, component = '', ...rest] = file.split('/');
  const rules = table[component];
  if (!rules || rest.length === 0) return [`${file}: is in no component of tools/layers.json`];
  const isTest = /\.test\.ts$|\/testing\//.test(file);
  const out: string[] = [];
  for (const [, from, bare, dynamic] of readFileSync(`${root}/${file}`, 'utf8').matchAll(IMPORT)) {
    const spec = from ?? bare ?? dynamic ?? '';
    if (spec.startsWith('#')) {
      const other = spec.slice(1).split('/')[0]!;
      if (other !== component && !rules.imports.includes(other)) out.push(`${file}: may not import "${spec}": ${component} → ${other} is not in tools/layers.json`);
    } else if (spec.startsWith('.')) {
      const up = spec.split('/').filter((p) => p === '..').length;
      if (up >= rest.length) out.push(`${file}: leaves its component by "${spec}"; write "#component/…"`);
    } else if (!spec.startsWith('node:') && !builtins.has(spec)) {
      const name = spec.startsWith('@') ? spec.split('/').slice(0, 2).join('/') : spec.split('/')[0]!;
      if (!rules.packages.includes(name) && !(isTest && name === 'fast-check')) out.push(`${file}: may not use the package "${name}": tools/layers.json does not give it to ${component}`);
    }
  }
  return out;
}

/** A hook at the top of a unit test file would run for every test of the whole run, which is one process. */
function hookFindings(file: string): string[] {
  const [hook] = readFileSync(`${root}/${file}`, 'utf8').match(/^(?:before|after)Each\b/m) ?? [];
  return hook ? [`${file}: ${hook} at the top of the file runs for every test of all files; use it in a suite, or preparedTest`] : [];
}

function run(name: string, args: readonly string[]): string[] {
  const done = spawnSync(`${root}/node_modules/.bin/${name}`, args, { cwd: root, encoding: 'utf8' });
  return done.status === 0 ? [] : `${done.stdout}${done.stderr}`.trimEnd().split('\n');
}
function runTool(file: string): string[] {
  const done = spawnSync(process.execPath, [`${root}/tools/${file}`, '--verify'], { cwd: root, encoding: 'utf8' });
  return done.status === 0 ? [] : `${done.stdout}${done.stderr}`.trimEnd().split('\n');
}

const findings = [
  ...globSync('src/**/*.ts', { cwd: root }).toSorted().flatMap(layerFindings),
  ...globSync('src/**/*.test.ts', { cwd: root }).toSorted().flatMap(hookFindings),
  ...run('tsc', ['-p', '.', '--pretty', 'false']),
  ...run('oxlint', ['--deny-warnings', 'src', 'tools', 'test', 'bench']),
  ...run('knip', ['--no-progress', '--no-config-hints', '--cache']),
  ...globSync('tools/gen-*.ts', { cwd: root }).map((f) => f.slice('tools/'.length)).toSorted().flatMap(runTool),
];
for (const f of findings) console.error(f);
process.exitCode = findings.length ? 1 : 0;
