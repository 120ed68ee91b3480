import type { PodTemplate } from '#api/gen/core-v1.ts';
import { fieldPath, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { containerCells, labelsText, NAME, text } from '../printing.ts';
import { defaultPodTemplate } from './pod/defaults.ts';
import { validatePodTemplate } from './pod/spec.ts';
import { sameGeneration, templateWarnings } from './pod/warnings.ts';

const validate = (obj: PodTemplate): FieldError[] => validatePodTemplate(obj.template, fieldPath('template'));

export const podtemplates = defineStrategy<PodTemplate>('', 'v1', 'podtemplates', {
  givenEmpty: ['template.spec.resources.claims'],
  default: (obj) => defaultPodTemplate((obj.template ??= {})),
  prepareForCreate: (obj) => void (obj.metadata.generation = 1),
  validate,
  validateUpdate: validate,
  warnings: (obj, old) => (sameGeneration(obj, old) ? [] : templateWarnings(obj.template, fieldPath('template'))),
  generationFields: ['template'],
  columns: [
    NAME,
    text('Containers', 'Names of each container in the template.'),
    text('Images', 'Images referenced by each container in the template.'),
    text('Pod Labels', 'The labels for the pod template.'),
  ],
  row: (obj) => [obj.metadata.name ?? '', ...containerCells(obj.template?.spec?.containers), labelsText(obj.template?.metadata?.labels)],
});
