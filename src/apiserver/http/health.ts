/** `/healthz`, `/livez`, `/readyz`: named checks, each by itself or all together, as upstream prints them. */
import type { Query } from '../query.ts';

export interface HealthCheck {
  readonly name: string;
  /** Throws or returns false when it fails. What is wrong goes into the log, not over the wire. */
  check(): boolean | Promise<boolean>;
}
export interface HealthAnswer {
  readonly code: number;
  readonly text: string;
}
export const ENDPOINTS = ['healthz', 'livez', 'readyz'] as const;
export type HealthEndpoint = (typeof ENDPOINTS)[number];

async function passes(check: HealthCheck): Promise<boolean> {
  try {
    return await check.check();
  } catch {
    return false;
  }
}

/**
 * `name` is what follows the endpoint in the path, '' for all checks; `observe` hears of each of all. Undefined: there is no such check.
 */
export async function answerHealth(
  endpoint: HealthEndpoint, name: string, query: Query, checks: readonly HealthCheck[], observe?: (name: string, endpoint: HealthEndpoint, passed: boolean) => void,
): Promise<HealthAnswer | undefined> {
  if (name !== '') {
    const one = checks.find((c) => c.name === name);
    if (!one) return undefined;
    return (await passes(one)) ? { code: 200, text: 'ok' } : { code: 500, text: `internal server error: ${name} check failed: reason withheld\n` };
  }
  const excluded = new Set(query.getAll('exclude'));
  const lines: string[] = [];
  let failed = false;
  for (const check of checks) {
    if (excluded.delete(check.name)) {
      lines.push(`[+]${check.name} excluded: ok`);
      continue;
    }
    const ok = await passes(check);
    observe?.(check.name, endpoint, ok);
    failed ||= !ok;
    lines.push(ok ? `[+]${check.name} ok` : `[-]${check.name} failed: reason withheld`);
  }
  if (excluded.size) lines.push(`warn: some health checks cannot be excluded: no matches for ${[...excluded].map((e) => JSON.stringify(e)).join(', ')}`);
  if (failed) return { code: 500, text: `${lines.join('\n')}\n${endpoint} check failed\n` };
  return { code: 200, text: query.has('verbose') ? `${lines.join('\n')}\n${endpoint} check passed\n` : 'ok' };
}
