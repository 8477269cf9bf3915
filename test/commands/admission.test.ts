import { expect, test } from '@jest/globals';
import { Environment } from '@marcbachmann/cel-js';
import { binding, CASES, policy, type Seen } from './admissioncases.ts';

// Expressions are evaluated by another implementation of CEL here; npm run test:policy asks the API server's own.

/** As the API server: an expression that cannot be evaluated counts as false (failurePolicy Fail). */
function holds(expression: string, seen: Seen): boolean {
  const environment = new Environment()
    .registerVariable('request', 'dyn')
    .registerVariable('object', 'dyn')
    .registerVariable('oldObject', 'dyn');
  try {
    return environment.evaluate(expression, { ...seen }) === true;
  } catch {
    return false;
  }
}

/** Messages of the validations that fail; none for a request that the policy is not about. */
function verdict(seen: Seen): readonly string[] {
  const { matchConditions, validations } = policy.spec;
  if (!matchConditions.every(({ expression }) => holds(expression, seen))) return [];
  return validations.filter(({ expression }) => !holds(expression, seen)).map(({ message }) => message);
}

test('the binding denies', () => {
  expect(binding.spec).toEqual({ policyName: policy.metadata.name, validationActions: ['Deny'] });
});

test.each(CASES)('$title', ({ seen, messages }) => {
  expect(verdict(seen)).toEqual(messages);
});
