/**
 * Who the renter is: twelve words, made here or typed in. Both ways have the same fields in the same order (words,
 * saved, continue), so that neither is a second choice. Everything happens in the browser; the server only frames it.
 */
import { html, type Html } from '../html.ts';

const WORD_COUNT = 12;

/** The panel. `headingLevel` is that of its steps, one below the heading that the page puts over it. */
export function renderIdentityPanel(headingLevel: 2 | 3): Html {
  const heading = (text: string) => (headingLevel === 2 ? html`<h2>${text}</h2>` : html`<h3>${text}</h3>`);
  return html`<noscript>
      <p class="notice bad">
        This needs JavaScript: your key is made in your browser and never leaves it, so that the server cannot
        do it for you.
      </p>
    </noscript>
    <div id="returning" class="notice" hidden>
      <p>This browser holds the key of <b id="returning-name"></b>.</p>
      <p class="actions">
        <button type="button" class="button primary" id="returning-continue">Continue with it</button>
        <button type="button" class="button" id="returning-forget">Use other words</button>
      </p>
      <p class="problem" id="returning-problem" role="alert"></p>
    </div>
    <form id="identity" class="identity" data-script hidden novalidate autocomplete="off">
      <fieldset class="segments">
        <legend class="visually-hidden">Your words</legend>
        <label><input type="radio" name="mode" value="create" checked /> <span>Create new</span></label>
        <label><input type="radio" name="mode" value="import" /> <span>Import</span></label>
      </fieldset>

      ${heading('Your 12 words')}
      <p id="words-hint">
        <span data-mode="create"
          >These words are your account: whoever has them is you. They were made in this browser and are not
          sent anywhere.</span
        >
        <span data-mode="import" hidden
          >Type or paste the words you saved. They stay in this browser and are not sent anywhere.</span
        >
      </p>
      <ol class="words" aria-describedby="words-hint">
        ${Array.from({ length: WORD_COUNT }, (_, index) => renderWord(index + 1))}
      </ol>
      <p class="problem" id="words-problem" role="alert"></p>
      <p class="actions">
        <button type="button" class="button" id="words-copy" data-mode="create">Copy the words</button>
        <button type="button" class="button" id="words-paste" data-mode="import" hidden>
          Paste the words
        </button>
      </p>

      ${heading('Confirm')}
      <label class="check"
        ><input type="checkbox" name="saved" id="saved" /> My 12 words are saved in a safe place. Nobody can
        bring them back.</label
      >
      <div class="field" id="username-field">
        <label for="username">Name <span class="quiet">(optional, public)</span></label>
        <input
          id="username"
          name="username"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
          maxlength="32"
          aria-describedby="username-hint identity-problem"
        />
        <p class="quiet" id="username-hint">
          For a new account: 3 to 32 small letters, digits, dots, dashes.
        </p>
      </div>
      <p class="problem" id="identity-problem" role="alert"></p>
      <p class="actions"><button class="button primary" id="identity-continue">Continue</button></p>
    </form>`;
}

function renderWord(number: number): Html {
  return html`<li>
    <label for="word-${number}"><span class="visually-hidden">Word</span> ${number}</label>
    <input
      id="word-${number}"
      class="word"
      autocomplete="off"
      autocapitalize="none"
      autocorrect="off"
      spellcheck="false"
      maxlength="300"
      readonly
    />
  </li>`;
}
