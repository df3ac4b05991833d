import { describe, expect, it } from 'vitest';
import { escapeHtml, Html, html, httpUrl } from './html.ts';

const HOSTILE = `"><script>alert('1')</script>&amp;<img src=x onerror=alert(1)>`;

describe('html', () => {
  it('escapes a hostile title in text and in attributes', () => {
    const text = html`<a title="${HOSTILE}">${HOSTILE}</a>`.toString();
    expect(text).not.toContain('<script');
    expect(text).not.toContain('<img');
    expect(text.match(/"/g)).toHaveLength(2);
    expect(text).toContain('&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;');
  });

  it('leaves what the tag itself made as it is, also in lists', () => {
    const items = ['a', '<b>'].map((item) => html`<i>${item}</i>`);
    expect(html`<b>${items}</b>`.toString()).toBe('<b><i>a</i><i>&lt;b&gt;</i></b>');
  });

  it('renders numbers and bigints, and nothing for null, undefined and false', () => {
    expect(html`${1}|${2n}|${0}|${null}|${undefined}|${false}|`.toString()).toBe('1|2|0||||');
  });

  it('does not take an object that only looks like Html', () => {
    const fake = { toString: () => '<script>' };
    expect(() => html`${fake as unknown as Html}`.toString()).toThrow();
    expect(() => new Html('<script>', Symbol('html'))).toThrow('only the html tag');
  });

  it('refuses a value where escaping does not help', () => {
    const value = 'x';
    expect(() => html`<a href=${value}></a>`).toThrow('may not stand here');
    expect(() => html`<${value}></${value}>`).toThrow('may not stand here');
    expect(
      () =>
        html`<script>
          ${value};
        </script>`,
    ).toThrow('may not stand here');
    expect(
      () =>
        html`<style>
          a {
            color: ${value};
          }
        </style>`,
    ).toThrow('may not stand here');
    expect(() => html`<a onclick="go('${value}')"></a>`).toThrow('may not stand here');
    expect(() => html`<a style="color:${value}"></a>`).toThrow('may not stand here');
    expect(() => html`<!-- ${value} -->`).toThrow('may not stand here');
    expect(() => html`<a ${value}></a>`).toThrow('between attributes');
    expect(() => html`<a b${value}></a>`).toThrow('between attributes');
  });

  it('accepts values in text, in quoted attributes and as whole attributes made here', () => {
    const flag = html`checked`;
    expect(html`<i title="${'a'}" class="b ${'c'}" ${flag}>on = ${'d'}</i>`.toString()).toBe(
      '<i title="a" class="b c" checked>on = d</i>',
    );
  });
});

describe('escapeHtml', () => {
  it('escapes the five characters and nothing else', () => {
    expect(escapeHtml('&<>"\' ü \u2028')).toBe('&amp;&lt;&gt;&quot;&#39; ü \u2028');
  });
});

describe('httpUrl', () => {
  it('lets only http and https addresses through', () => {
    expect(httpUrl('https://a.example/b')).toBe('https://a.example/b');
    for (const url of ['javascript:alert(1)', 'data:text/html,x', ' javascript:x', '//a.example', null]) {
      expect(httpUrl(url)).toBeNull();
    }
  });
});
