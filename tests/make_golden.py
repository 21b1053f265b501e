"""Make golden.json, hard texts and what the references give for them; the Python and the Rust tests share it.

usage: make_golden.py

Every failure ever found belongs in TEXTS. The ids come from the references alone.
"""

import json
from pathlib import Path

from support.references import PROFILES, reference

GOLDEN = Path(__file__).with_name("golden.json")

TEXTS = [
    # Nothing, and nearly nothing.
    "", " ", "   \t\n  ", "a", "A", "!", "1", "'", "\0", "\n", "\u200b", "\ufeff", "\xad", "\x7f", "\u2028",
    # Ordinary prompts.
    "a photo of a cat",
    "A highres photo of a woman wearing a red dress",
    "a " + "very " * 100 + "text",
    "masterpiece, best quality, (ultra-detailed:1.3), [low contrast], <lora:foo:0.8>, {x|y}, 8k UHD --ar 16:9 --v 5",
    "https://example.com/a_b-c?d=e&f=g#h, me@example.org, C:\\dir, ~/x, $5.99 100% #tag @user a_b __init__",
    # Words: long, repeated, odd.
    "supercalifragilisticexpialidocious", "asdfhjklmn", "x" * 300, "ab" * 200, "!" * 200, "=-" * 100, "0" * 50,
    "tttttttttttttttt hhhhhhhhhhh thethethethe ininininin", "你好, abcd, asdfhjklmn", "aAaAaAaA", "qzxjqzxj" * 20,
    # Contractions.
    "it's I'm we'll they've he'd you're don't IT'S I'M WE'LL THEY'VE HE'D YOU'RE DON'T",
    "'s 't 're 've 'm 'll 'd", "'S 'T 'RE 'VE 'M 'LL 'D", "'sabc 'Tis 'llama 'dog 'r 'v 'l", "a''s b'' 's'", "!'s ?'ll",
    "'s's's'S's", "rock'n'roll o'clock 'tis 'twas", "it\u2019s we\u2019ll don\u2019t",
    "\u2018quoted\u2019 \u201cquotes\u201d",
    "it\u02bcs it\u2032s it`s it\xb4s", "x'\u017f", "\u017ftart", "'\u017f'\u017fa", "1's 2'nd 3'd", "'re're'", "a 's",
    "a '",
    # Specials in the text.
    "<|startoftext|>", "<|endoftext|>", "<start_of_text>", "<end_of_text>", "<|STARTOFTEXT|>", "<|EndOfText|>",
    "<START_OF_TEXT>", "<End_Of_Text>", "a<|startoftext|>b<|endoftext|>c", "a <start_of_text> b <end_of_text> c",
    "a<start_of_text>b<end_of_text>c",
    "!<|endoftext|>!", "<<|endoftext|>>", "!<end_of_text>!", "<|endoftext|><|endoftext|>", "<|endoftext|>'s",
    "<end_of_text><END_OF_TEXT>", "< |endoftext| >", "<|endoftext", "|endoftext|>", "<|endoftext|", "<end_of_text",
    "<|\u017ftartoftext|>", "<\u017ftart_of_text>", "<|start\nof\ntext|>", "&lt;|endoftext|&gt;", "&lt;end_of_text&gt;",
    "<|startoftext|> a photo of a cat <|endoftext|> !!! <|endoftext|>", "\u212astart", "<|endoftext\u200b|>",
    "  <|endoftext|>  x  ", "x <|endoftext|>", "<|endoftext|>" * 30, "<|pad|> <pad> [PAD] <unk> </s>", "a</w>b </w>",
    # Whitespace of every kind.
    "a\tb\nc\rd\x0be\x0cf", "a\x1cb\x1dc\x1ed\x1fe", "a\x85b", "a\xa0b", "a\u1680b", "a\u180eb",
    "a\u2000b\u2001c\u2002d\u2003e\u2004f\u2005g\u2006h\u2007i\u2008j\u2009k\u200al", "a\u2028b\u2029c",
    "a\u202fb\u205fc\u3000d", "a\u200bb\u200cc\u200dd\u2060e\ufefff", "\r\n a \r\n b \r\n", " \xa0 \u3000a\u3000 \xa0 ",
    "a" + " " * 500 + "b", "\x1c", "\x1f \x1f", "it\x1f's", "\x85\x85", "a \x0b\x0c b", "\u3000", "\xa0\xa0a",
    # Control characters and things that ftfy removes.
    "a\x00b\x01c\x02d\x08e\x0ef\x1bg\x7fh", "\x1b[36mcyan\x1b[0m text", "a\x80b\x81c\x8dd\x90e\x9ff", "\x80\x9f",
    "a\u202ab\u202ec\u202dd\u2066e\u2069f", "\ufff9a\ufffab\ufffbc", "a\ufffdb\ufffcc", "\ufdd0\ufffe\uffff",
    "a\u206ab\u206fc",
    "soft\xadhyphen", "a\u034fb", "\U000e0001\U000e0041", "\x1b[", "\x1b]0;title\x07x",
    # Case.
    "ÀÉÎÕÜ ÇÑ Ø Å Æ Œ Þ Ð ß ẞ ÿ Ÿ", "İstanbul ISPARTA ıI iİ", "ΣΊΣΥΦΟΣ ΑΣ. ΑΣΑ Σ ΑΣ'Σ ΑΣ\u0301 Α\u0301Σ",
    "ΟΔΥΣΣΕΎΣ,ΣΑΣ",
    "ПРИВЕТ Мир ЁЖ", "Straße STRASSE", "ǅ ǆ Ǆ ǈ Ǉ", "\u1e9e \u212a \u212b \u2126 \u2160 \u24b6", "Ꭰ ꭰ Ა ა Ⴀ ⴀ",
    "𝐀𝐁𝐂 𝒜 𝔸 𝟘𝟙", "ＡＢＣ ａｂｃ １２３ ！？", "ＨＥＬＬＯ　ＷＯＲＬＤ", "ﬁ ﬂ ﬀ ﬃ ﬅ ﬆ ĳ Ĳ ŉ",
    "𐐀𐐁 𞤀𞤁 𑢠", "AΣ B", "ΑΣ\xad ΑΣ\u2019 ΑΣ:Α",
    "\u0130\u0307 i\u0307 \u0130.", "ÅA\u030aA\u030a", "K\u0130TAP",
    # Composition.
    "cafe\u0301 caf\xe9", "e\u0301\u0323 e\u0323\u0301 \xe9\u0323", "a\u0301b\u0308c\u0327", "\u0301a", " \u0301",
    "\u212b \xc5 A\u030a",
    "\u1100\u1161\u11a8 \uac01 \uac00\u11a8 \u1100\uac00", "\u0958 \u0915\u093c", "\ufb1d \u05d9\u05b4",
    "\uf900 \u8c48",
    "\u0344 \u0308\u0301", "\u2adc \u2add\u0338", "q\u0307\u0323", "\u1e9b\u0323", "\u0f73\u0f71\u0f72", "\U0001d15e",
    "\u03d2\u0301",
    "Z\u0351\u036b\u0343\u036a\u0302A\u0306\u0303LG\u034eO\u0332!", "o\u0302\u0323\u0300 \u1ed9\u0300",
    "n\u0303 Ñ N\u0303", "\u3099か\u3099 が",
    # Digits and numbers of other scripts.
    "1234567890", "3.14159 1,000,000 50% 1/2 ½ ¼ ² ³ ① ⑽ Ⅳ ⅷ", "٠١٢٣ ०१२३ ๐๑๒ ０１２", "一二三 〇 百",
    "1st 2nd 3rd a1b2c3",
    "𝟏𝟐𝟑 𐄇 𒐀",
    # Html.
    "&amp; &lt;b&gt; &quot;x&quot; &#39;s &nbsp;a", "&amp;amp;lt; &amp;lt;", "&amp", "&notit; &not &ampx",
    "&#x1F600; &#128512;",
    "&#0; &#x80; &#xD800; &#1114112; &#xfffe; &#13; &#1;", "&Eacute; &EACUTE; &eacute &HELLIP;", "AT&T R&D Q&A; a&b;",
    "&;&#;&#x;",
    "&lt;|endoftext|&gt; x", "<b>bold</b> &amp; <br/>", "&#8217;s &rsquo;s &apos;s", "&Nbsp; &NBSP; &ZeroWidthSpace;x",
    "&fjlig; &nGt;",
    "&" + "a" * 40 + ";", "&amp;#39;s", "&num;1 &excl; &percnt;", "&CounterClockwiseContourIntegral;",
    # Mojibake, and what looks like it.
    "schÃ¶n", "cafÃ© au lait", "donâ€™t", "â€œquotedâ€\x9d", "Ã¢â‚¬â„¢", "Â£5 Â© Â ", "ðŸ˜‚ lol", "ï»¿bom", "NoÃ«l Â½",
    "Ã a",
    "voilÃ  le travail", "РїСЂРёРІРµС‚", "æ—¥æœ¬", "l\x92humanit\xe9", "\x93smart\x94", "â™¥ â˜…", "ÃƒÂ©", "Ã", "Â",
    "à´®", "naÃ¯ve &amp; cafÃ©",
    "L’ÉTÉ, c’EST …", "¡ÃSPERA!", "Ã±Ã³ ñó", "\xe2\x80\x99", "â€¦ a", "Å¡ Ä\x8d", "×©×œ×•×\x9d", "ÐŸÑ€Ð¸", "ГђВѕ",
    "\ufffd\x80a", "Â\xa0a",
    # Punctuation, symbols, emoji.
    "…—–‐‑‒―•·¿¡«»‹›„‚", "©®™€£¥¢§¶†‡°±×÷", "!?.,;:()[]{}<>/\\|@#$%^&*-_=+~`", "....", "!!!???", "-- --- ...",
    "^_^ :-) ;P <3 T_T",
    "😀😂🤣 ❤️ 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 1️⃣", "cat😀dog", "♥♦♣♠ ★☆ →← ∞≠≤ √π", "☃︎ ☃️", "x² + y² ≈ 10⁻³ µm Ω",
    "\U0001fae8 \U0001fac6",
    # Scripts.
    "日本語のテキスト カタカナ ﾊﾝｶｸ", "中文字符，標點。", "한국어 텍스트", "สวัสดีครับ", "नमस्ते दुनिया",
    "مرحبا بالعالم", "שָׁלוֹם עולם",
    "Γειά σου Κόσμε",
    "ქართული ᲥᲐᲠᲗᲣᲚᲘ", "አማርኛ", "தமிழ் తెలుగు", "မြန်မာ", "ᚠᚢᚦ 𓀀 𐌰", "Tiếng Việt đẹp", "ĀčĒģĪ žluťoučký kůň", "𠀀𪜀𰀀",
    "ﷺ ﷽",
    # Unassigned and private code points, and those assigned lately; none with a lower case that a Python may not know.
    "\u0378 \u0870 \U0001fbff \U000e01ef", "\ue000 \U000f0000 \U0010ffff \U00100000x", "a\u0378b \U0003ffffc",
    "\U0001e4d0\U0001e4ff",
    "\U00031350 \U0002ebf0", "a\u20c1b", "\u088f \u0c5c",
    # Several at once.
    "L&amp;apos;ÉTÉ <|endoftext|> Ã©tÃ© 'S \u201cX\u201d ﬁn…  1½", "İ'S <|ENDOFTEXT|> ΑΣ", "Ⅷ'S ＩＴ’Ｓ &AMP;",
    "\u017fK\u212a'\u017f <|\u017fTARTOFTEXT|>",
]  # fmt: skip


def main() -> None:
    """Write the file, a case a line."""
    assert len(TEXTS) == len(set(TEXTS)), [text for text in TEXTS if TEXTS.count(text) > 1]
    ids = {profile: reference(profile).batch(TEXTS) for profile in PROFILES}
    cases = [{"text": text, "ids": {p: ids[p][row] for p in PROFILES}} for row, text in enumerate(TEXTS)]
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(cases)} texts in {GOLDEN.name}")


if __name__ == "__main__":
    main()
