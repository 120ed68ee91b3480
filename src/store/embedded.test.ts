import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeContractSuite } from './contract-suite.ts';
import { openEmbeddedStore } from './embedded.ts';

storeContractSuite('embedded', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'podyard-store-'));
  const store = await openEmbeddedStore({ directory });
  return {
    store,
    async cleanup() {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});
