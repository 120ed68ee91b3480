/** `podyard image load FILE…` and `podyard image list`: images without a registry. */
import { resolve } from 'node:path';
import { systemClock } from '#base/clock.ts';
import { loadImages, nodeImages } from '#cluster/images.ts';
import { readMachineConfig } from '#cluster/join/config.ts';
import { parseArguments, UsageError } from '../arguments.ts';
import { DATA_DIR_FLAG, dataDirOf } from '../cluster-flags.ts';
import { complain, say, sayStep } from '../terminal.ts';

export const IMAGE_FLAGS = DATA_DIR_FLAG;

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export async function image(args: readonly string[]): Promise<number> {
  const parsed = parseArguments(args, IMAGE_FLAGS);
  const [verb, ...files] = parsed.words;
  const dataDir = dataDirOf(parsed);
  const config = await readMachineConfig(dataDir);
  if (!config) {
    complain(`there is no cluster in ${dataDir}; make one with: ./podyard up`);
    return 1;
  }
  if (verb === 'load') {
    if (files.length === 0) throw new UsageError('image load: name one or more files (made with docker save, podman save or the like)');
    for (const file of files) {
      const began = performance.now();
      for (const name of await loadImages(config, resolve(file), systemClock)) sayStep(`loaded ${name}`, performance.now() - began);
    }
    return 0;
  }
  if (verb === 'list') {
    const images = await nodeImages(config, systemClock);
    const rows = images.flatMap((i) => (i.names.length ? i.names : ['<none>']).map((name) => [name, i.id.replace(/^sha256:/, '').slice(0, 13), megabytes(i.sizeBytes)] as const));
    const width = Math.max('IMAGE'.length, ...rows.map(([name]) => name.length)) + 3;
    say(`${'IMAGE'.padEnd(width)}${'IMAGE ID'.padEnd(16)}SIZE`);
    for (const [name, id, size] of rows) say(`${name.padEnd(width)}${id.padEnd(16)}${size}`);
    return 0;
  }
  throw new UsageError(`image: "${verb ?? ''}" is not a command; use "image load FILE…" or "image list"`);
}
