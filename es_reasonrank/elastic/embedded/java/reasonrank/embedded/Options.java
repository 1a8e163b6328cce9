package reasonrank.embedded;

import java.util.List;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.CharArraySet;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.index.IndexSettings;
import org.elasticsearch.index.analysis.Analysis;

/** The settings of one analyzer, filter or tokenizer in an index. */
record Options(IndexSettings index, Environment environment, Settings settings) {
  int number(String key, int otherwise) {
    return settings.getAsInt(key, otherwise);
  }

  boolean flag(String key, boolean otherwise) {
    return settings.getAsBoolean(key, otherwise);
  }

  String text(String key, String otherwise) {
    return settings.get(key, otherwise);
  }

  char character(String key, char otherwise) {
    return settings.get(key, String.valueOf(otherwise)).charAt(0);
  }

  Pattern pattern(String otherwise) {
    return Regex.compile(settings.get("pattern", otherwise), settings.get("flags"));
  }

  /** A list that stands in the settings under `key`, or in the file that `key_path` names. */
  List<String> words(String key) {
    List<String> words = Analysis.getWordList(environment, settings, key);
    return words == null ? List.of() : words;
  }

  CharArraySet wordSet(String key, String ignoreCaseKey) {
    return new CharArraySet(words(key), flag(ignoreCaseKey, false));
  }

  CharArraySet stopwords(CharArraySet otherwise) {
    return Analysis.parseStopWords(environment, settings, otherwise);
  }

  /** The longest n-gram; as on a full server, an index must say so where it is much longer than the shortest. */
  int maxGram() {
    int longest = number("max_gram", 2);
    int limit = index == null ? Integer.MAX_VALUE : index.getMaxNgramDiff();
    if (longest - number("min_gram", 1) > limit) {
      throw new IllegalArgumentException("max_gram - min_gram must be at most [" + limit
          + "], which the index setting [" + IndexSettings.MAX_NGRAM_DIFF_SETTING.getKey() + "] can raise");
    }
    return longest;
  }
}
