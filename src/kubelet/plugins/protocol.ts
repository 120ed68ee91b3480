/** The plugin registration protocol (`pluginregistration`, version 1) as a table of facts and its codecs. */
import { codecsOf, factsBeside } from '#cri/schema.ts';
import type { Messages } from './types.ts';

export const registrationFacts = factsBeside(import.meta.url);
export const registrationCodec = codecsOf<Messages>(registrationFacts);
