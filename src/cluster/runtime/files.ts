import { open, readFile, rename } from 'node:fs/promises';

/** Writes a whole file so that a reader, or a crash, finds the old text or the new one. True when the text was another. */
export async function writeFileAtomically(path: string, text: string, mode: number): Promise<boolean> {
  if ((await readFileIfThere(path)) === text) return false;
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', mode);
  try {
    await file.writeFile(text);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  return true;
}

/** Undefined when there is no such file, or, for a file of `/proc`, when its process has gone. */
export async function readFileIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
