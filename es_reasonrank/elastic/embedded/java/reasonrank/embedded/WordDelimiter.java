package reasonrank.embedded;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.miscellaneous.WordDelimiterFilter;
import org.apache.lucene.analysis.miscellaneous.WordDelimiterGraphFilter;
import org.apache.lucene.analysis.miscellaneous.WordDelimiterIterator;

/** `word_delimiter` and `word_delimiter_graph`, which have more settings than all other filters together. */
final class WordDelimiter {
  /** In the order of the bits that stand for them in Lucene. */
  private static final List<String> FLAGS = List.of("generate_word_parts", "generate_number_parts", "catenate_words",
      "catenate_numbers", "catenate_all", "preserve_original", "split_on_case_change", "split_on_numerics",
      "stem_english_possessive", "ignore_keywords");
  private static final int DEFAULT = 0b0111000011;

  /** Lucene's bits for the kinds of characters, of which it shows only some. */
  private static final Map<String, Integer> TYPES = Map.of("LOWER", 1, "UPPER", 2, "ALPHA", 1 | 2, "DIGIT", 4,
      "ALPHANUM", 1 | 2 | 4, "SUBWORD_DELIM", 8);

  static TokenStream plain(TokenStream in, Options options) {
    return new WordDelimiterFilter(in, types(options), flags(options), protectedWords(options));
  }

  static TokenStream graph(TokenStream in, Options options) {
    boolean adjust = options.flag("adjust_offsets", true);
    return new WordDelimiterGraphFilter(in, adjust, types(options), flags(options), protectedWords(options));
  }

  private static int flags(Options options) {
    int flags = 0;
    for (int bit = 0; bit < FLAGS.size(); bit++) {
      int mask = 1 << bit;
      flags |= options.flag(FLAGS.get(bit), (DEFAULT & mask) != 0) ? mask : 0;
    }
    return flags;
  }

  private static CharArraySet protectedWords(Options options) {
    return options.wordSet("protected_words", "protected_words_case");
  }

  /** The kind of each character, with the rules of `type_table`: "# => ALPHA". */
  private static byte[] types(Options options) {
    TreeMap<Character, Byte> ruled = new TreeMap<>();
    for (String rule : options.words("type_table")) {
      String[] sides = rule.split("\\s*=>\\s*", 2);
      if (sides.length < 2 || sides[0].length() != 1 || !TYPES.containsKey(sides[1])) {
        throw new IllegalArgumentException("type_table [" + rule + "] must be of the form [# => ALPHA]");
      }
      ruled.put(sides[0].charAt(0), TYPES.get(sides[1]).byteValue());
    }
    if (ruled.isEmpty()) {
      return WordDelimiterIterator.DEFAULT_WORD_DELIM_TABLE;
    }
    int size = Math.max(ruled.lastKey() + 1, WordDelimiterIterator.DEFAULT_WORD_DELIM_TABLE.length);
    byte[] types = new byte[size];
    for (int character = 0; character < size; character++) {
      Byte type = ruled.get((char) character);
      types[character] = type == null ? WordDelimiterIterator.getType(character) : type;
    }
    return types;
  }
}
