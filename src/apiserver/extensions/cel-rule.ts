/** One rule of `x-kubernetes-validations`, compiled. Source: the Kubernetes page on CustomResourceDefinitions, "Validation rules". */
import type { ValidationRule } from '#api/gen/apiextensions-v1.ts';
import { compile, type Program } from '#cel/compile.ts';
import { estimateCost } from '#cel/cost-estimate.ts';
import { kubernetesEnvironment } from '#cel/kubernetes.ts';
import { optionalOf } from '#cel/types.ts';
import { sizesOf, type Declaration } from './cel-schema.ts';

export interface CompiledRule {
  readonly rule: ValidationRule;
  /** Undefined: it did not compile. */
  readonly program: Program | undefined;
  readonly error: string | undefined;
  /** The most that one run can cost. */
  readonly maxCost: number;
  /** Only for changes of an object. */
  readonly usesOldSelf: boolean;
  readonly message: { readonly program?: Program; readonly error?: string; readonly maxCost: number } | undefined;
}
const environment = kubernetesEnvironment();

/** Undefined for an empty rule. */
export function compileRule(rule: ValidationRule, declaration: Declaration): CompiledRule | undefined {
  if (rule.rule.trim() === '') return undefined;
  const { type } = declaration;
  const env = environment.withVariables({ self: type, oldSelf: rule.optionalOldSelf ? optionalOf(type) : type });
  const failed = (error: string): CompiledRule => ({ rule, program: undefined, error, maxCost: 0, usesOldSelf: false, message: undefined });
  const compiled = compile(rule.rule, env);
  if ('errors' in compiled) return failed(compiled.failed);
  const { program } = compiled;
  if (program.type.kind !== 'bool') return failed('cel expression must evaluate to a bool');
  const sizes = sizesOf(declaration);
  let message: CompiledRule['message'];
  if (rule.messageExpression) {
    const text = compile(rule.messageExpression, env);
    if ('errors' in text) message = { error: `messageExpression ${text.failed}`, maxCost: 0 };
    else if (text.program.type.kind !== 'string') message = { error: 'messageExpression must evaluate to a string', maxCost: 0 };
    else message = { program: text.program, maxCost: estimateCost(text.program.checked, sizes).max };
  }
  return { rule, program, error: undefined, maxCost: estimateCost(program.checked, sizes).max, usesOldSelf: program.variables.has('oldSelf'), message };
}
