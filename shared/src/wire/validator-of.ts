/** Compiles each schema once in a process, however many servers and clients use it. */
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';

const validators = new WeakMap<TSchema, Validator>();

/** The compiled check of a schema, which must not be changed afterwards. */
export function validatorOf(schema: TSchema): Validator {
  let validator = validators.get(schema);
  if (validator === undefined) {
    validator = Compile(schema);
    validators.set(schema, validator);
  }
  return validator;
}
