import { ExpectedError } from '../runtime/errors.ts';

/** Asks the operator; only to be used when the terminal is interactive. Rejects with ExpectedError when the operator gives up. */
export interface Prompter {
  /** `validate` says what is wrong with an answer, or undefined. */
  text(question: string, validate: (answer: string) => string | undefined): Promise<string>;
  choose(question: string, choices: readonly string[]): Promise<readonly string[]>;
  confirm(question: string): Promise<boolean>;
}

/** Questions on the terminal; inquirer is loaded with the first one. */
export function createPrompter(): Prompter {
  return {
    text: (question, validate) =>
      ask<string>({
        type: 'input',
        message: question,
        validate: (answer: string) => validate(answer.trim()) ?? true,
      }).then((answer) => answer.trim()),
    choose: (question, choices) =>
      ask<readonly string[]>({
        type: 'checkbox',
        message: question,
        choices: [...choices],
        required: true,
      }),
    confirm: (question) => ask<boolean>({ type: 'confirm', message: question, default: false }),
  };
}

async function ask<T>(question: {
  readonly type: 'input' | 'checkbox' | 'confirm';
  readonly message: string;
  readonly choices?: string[];
  readonly required?: boolean;
  readonly default?: boolean;
  readonly validate?: (answer: string) => string | true;
}): Promise<T> {
  const { default: inquirer } = await import('inquirer');
  try {
    const prompt = inquirer.createPromptModule({ output: process.stderr });
    const answers: Readonly<Record<string, unknown>> = await prompt([{ ...question, name: 'answer' }] as never);
    return answers['answer'] as T;
  } catch (error) {
    if (error instanceof Error && error.name === 'ExitPromptError') {
      throw new ExpectedError('cancelled; nothing more was changed', { cause: error });
    }
    throw error;
  }
}
