import { registerHooks } from 'node:module';

const SOURCES = new URL('../', import.meta.url).href;

/** The address of a module of ours, as Node would find it; undefined for what is not ours. */
export function ownSource(specifier: string, parent: string | undefined): string | undefined {
  if (!specifier.endsWith('.ts')) return undefined;
  // `imports` of package.json: "#*" is "./src/*".
  if (specifier.startsWith('#')) return SOURCES + specifier.slice(1);
  return specifier.startsWith('.') && parent?.startsWith(SOURCES) ? new URL(specifier, parent).href : undefined;
}

/**
 * From now on modules of ours are found without asking the disk. By itself Node looks for a package.json in every folder on the way up, for each
 * import, and for the file itself three times over: two fifths of the time that the thousand modules of a cluster take to load.
 */
export function resolveSources(): void {
  registerHooks({
    resolve(specifier, context, next) {
      const url = ownSource(specifier, context.parentURL);
      return url === undefined ? next(specifier, context) : { url, format: 'module-typescript', shortCircuit: true };
    },
  });
}
