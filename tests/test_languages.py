"""Codes of languages, as data folders and models name them."""

import pytest

from lskd_nmt.data.languages import base_language, is_unspaced


@pytest.mark.parametrize("code", ["zh", "zh_CN", "zh-Hans", "zho_Hant", "cmn", "ZH"])
def test_codes_of_one_language_are_one_language(code):
    assert base_language(code) == "zh" and is_unspaced(code)


@pytest.mark.parametrize("code", ["de", "ru", "ko", "kor_Hang", "vi", "de-AT", "aa"])
def test_languages_with_spaces_are_left_alone(code):
    assert not is_unspaced(code)
