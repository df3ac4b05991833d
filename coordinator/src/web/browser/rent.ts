/** The page that rents: a total that follows the duration, the checks of the form, and the order itself. */
import { formatMoney, type WireMoney } from '@dc/shared/money/money';
import type { WireContract, WireCreateContract } from '@dc/shared/wire/contract';
import { accountText, hoursText } from '../format.ts';
import type { FormOffering } from '../pages/rent-page.ts';
import { parseAmountE9s, parseHours, rentTotal, timePriceText } from '../price.ts';
import { ApiError, callApi, problemText } from './api.ts';
import { byId, chosenValue, setProblem, whileBusy } from './dom.ts';
import { startIdentityPanel } from './identity-panel.ts';
import { rememberContractKey } from './made-keys.ts';
import { startSshKeySection } from './ssh-key-section.ts';

const form = byId('rent', HTMLFormElement);
const offering = JSON.parse(form.dataset['offering'] ?? '') as FormOffering;
const hoursField = byId('duration_hours', HTMLInputElement);
const who = byId('who', HTMLElement);
const sshKey = startSshKeySection(form);
/** The last order that was sent and its Idempotency-Key: the same order again must not rent twice. */
let lastOrder = { body: '', key: '' };

for (const preset of form.querySelectorAll<HTMLInputElement>('input[name=preset]')) {
  preset.addEventListener('change', () => {
    hoursField.value = preset.value;
    showTotal();
  });
}
hoursField.addEventListener('input', showTotal);
showTotal();
form.addEventListener('submit', (event) => {
  event.preventDefault();
  void whileBusy(byId('pay', HTMLButtonElement), 'Paying…', order);
});
if (who.dataset['signedOut'] !== undefined) {
  await startIdentityPanel((account) => {
    const name = accountText(account);
    document.querySelector('a[href="/login"]')?.replaceChildren(name);
    delete who.dataset['signedOut'];
    const bold = document.createElement('b');
    bold.textContent = name;
    const line = document.createElement('p');
    line.append('You rent as ', bold, '.');
    who.replaceChildren(line);
    who.removeAttribute('aria-labelledby');
    who.classList.add('slim');
    setProblem('pay', '');
    hoursField.focus();
  });
}

/** Shows the total for the hours in the field, or what is wrong with them. Returns the hours, null for wrong ones. */
function showTotal(): number | null {
  const hours = parseHours(hoursField.value, offering);
  for (const preset of form.querySelectorAll<HTMLInputElement>('input[name=preset]')) {
    preset.checked = preset.value === String(hours);
  }
  const range = `${offering.min_hours} to ${offering.max_hours}`;
  setProblem(hoursField.id, hours === null ? `Write a whole number of hours, ${range}.` : '');
  byId('sum-hours', HTMLElement).textContent = hours === null ? '?' : hoursText(hours);
  byId('sum-time', HTMLElement).textContent = hours === null ? '?' : timePriceText(offering, hours);
  const total = hours === null ? '?' : formatMoney(rentTotal(offering, hours));
  const output = byId('sum-total', HTMLElement);
  if (output.textContent !== total) output.textContent = total;
  return hours;
}

async function order(): Promise<void> {
  setProblem('pay', '');
  if (who.dataset['signedOut'] !== undefined) {
    setProblem('pay', 'First say who you are: make an account or import yours, at the top of this page.');
    who.scrollIntoView();
    who.focus({ preventScroll: true });
    return;
  }
  const hours = showTotal();
  const hasKey = sshKey.isUsable();
  if (hours === null || !hasKey) {
    (hours === null ? hoursField : byId('ssh_public_key', HTMLElement)).focus();
    return;
  }
  const usageCap = readUsageCap();
  if (usageCap === null) return;
  const wanted: WireCreateContract = {
    offering_id: offering.id,
    duration_hours: hours,
    ssh_public_key: chosenValue(form, 'ssh_public_key').trim(),
    payment_method: chosenValue(form, 'payment_method'),
    operating_system: chosenValue(form, 'operating_system'),
    ...(chosenValue(form, 'refund_to') === 'wallet' ? { refund_to: 'wallet' } : {}),
    ...(usageCap === undefined ? {} : { usage_cap: usageCap }),
  };
  try {
    const contract = await send(wanted);
    rememberContractKey(contract.id, wanted.ssh_public_key);
    location.assign(contract.payment.checkout_url ?? `/contracts/${contract.id}`);
  } catch (error) {
    showFailure(error);
  }
}

/** The cap in its field; undefined where the offering asks for none, null (and said beside it) where it is no amount. */
function readUsageCap(): WireMoney | null | undefined {
  const field = document.getElementById('usage_cap');
  if (!(field instanceof HTMLInputElement)) return undefined;
  const amount_e9s = parseAmountE9s(field.value);
  setProblem(field.id, amount_e9s === null ? 'Write an amount, such as 5.00; 0 for nothing.' : '');
  if (amount_e9s !== null) return { amount_e9s, currency: offering.price_per_hour.currency };
  field.focus();
  return null;
}

function send(wanted: WireCreateContract): Promise<WireContract> {
  const body = JSON.stringify(wanted);
  if (body !== lastOrder.body) lastOrder = { body, key: crypto.randomUUID() };
  return callApi('POST', '/contracts', { body, headers: { 'idempotency-key': lastOrder.key } });
}

/** Which field an error code is about, where the error does not point to one. */
const FIELD_OF_CODE: Readonly<Record<string, string>> = {
  DURATION_OUT_OF_RANGE: 'duration_hours',
  OPERATING_SYSTEM_UNKNOWN: 'operating_system',
  PAYMENT_METHOD_UNKNOWN: 'payment_method',
  SSH_KEY_INVALID: 'ssh_public_key',
  TOKEN_RATE_STALE: 'payment_method',
  USAGE_CAP_REQUIRED: 'usage_cap',
};

function showFailure(error: unknown): void {
  setProblem('pay', problemText(error));
  if (!(error instanceof ApiError)) return;
  if (error.status === 401) {
    setProblem('pay', 'Your session has ended. Load the page again and sign in; you were not charged.');
    return;
  }
  const field = FIELD_OF_CODE[error.code] ?? error.fields[0]?.pointer.slice(1) ?? '';
  if (document.getElementById(`${field}-problem`) === null) return;
  setProblem(field, error.text);
  document.getElementById(field)?.focus();
}
