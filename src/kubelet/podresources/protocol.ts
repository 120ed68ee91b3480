/** The Pod resources protocol (`v1`) as a table of facts and its codecs. Source: device-plugins#monitoring-device-plugin-resources. */
import { codecsOf, factsBeside } from '#cri/schema.ts';
import type { Messages } from './types.ts';

export const podResourcesCodec = codecsOf<Messages>(factsBeside(import.meta.url));
