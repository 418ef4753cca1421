// How applications construct the SDK's clients.
import { AzureOpenAI, OpenAI } from 'openai';

const AZURE = { apiVersion: '2024-10-21' };

// name -> (address of the gateway, model) => client options; a client with `deployment` belongs to one model.
const FORMS = {
  'OpenAI /v1': (url) => [OpenAI, { baseURL: `${url}/v1` }],
  'OpenAI /openai': (url) => [OpenAI, { baseURL: `${url}/openai` }],
  'OpenAI /openai/v1': (url) => [OpenAI, { baseURL: `${url}/openai/v1` }],
  'Azure endpoint': (url) => [AzureOpenAI, { ...AZURE, endpoint: url }],
  'Azure endpoint /openai': (url) => [AzureOpenAI, { ...AZURE, endpoint: `${url}/openai` }],
  'Azure deployment': (url, model) => [AzureOpenAI, { ...AZURE, endpoint: url, deployment: model }],
  'Azure baseURL': (url) => [AzureOpenAI, { ...AZURE, baseURL: `${url}/openai` }],
};

// The last of them shows a token of Entra ID where the others show an API key.
export const UPSTREAMS = ['classic', 'v1', 'entra'];

export function client(stack, form, { model = 'gpt-4o', key = 'any', ...options } = {}) {
  const [Class, place] = FORMS[form](stack.gateway, model);
  return new Class({ apiKey: stack.keys[key] ?? key, maxRetries: 0, timeout: 20_000, ...place, ...options });
}

// Declares one test per client form and kind of upstream key.
export function everyForm(test, name, body) {
  for (const form of Object.keys(FORMS)) {
    for (const key of UPSTREAMS) test(`${form} to ${key}: ${name}`, () => body({ form, key }));
  }
}
