package reasonrank.embedded;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Locale;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.miscellaneous.StemmerOverrideFilter;
import org.apache.lucene.analysis.snowball.SnowballFilter;
import reasonrank.embedded.TokenFilters.Filter;

/** `stemmer`, `snowball` and `stemmer_override`. */
final class Stemmers {
  static TokenStream stemmer(TokenStream in, Options options) {
    return of(options.text("language", options.text("name", "english"))).apply(in, options);
  }

  static TokenStream snowball(TokenStream in, Options options) {
    return snowball(in, options.text("language", "English"));
  }

  /** Words with the stem that each gets: "running, ran => run". */
  static TokenStream override(TokenStream in, Options options) {
    StemmerOverrideFilter.Builder stems = new StemmerOverrideFilter.Builder(false);
    for (String rule : options.words("rules")) {
      String[] sides = rule.split("=>", 2);
      if (sides.length < 2) {
        throw new IllegalArgumentException("rule [" + rule + "] must be of the form [word => stem]");
      }
      for (String word : sides[0].split(",")) {
        stems.add(word.trim(), sides[1].trim());
      }
    }
    try {
      return new StemmerOverrideFilter(in, stems.build());
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static Filter of(String language) {
    return switch (language) {
      case "english", "porter" -> Lucene.filter("porter_stem");
      case "light_english" -> Lucene.filter("kstem");
      case "possessive_english" -> Lucene.filter("english_possessive");
      case "porter2" -> (in, options) -> snowball(in, "English");
      case "portuguese_rslp" -> Lucene.filter("portuguese_stem");
      case "german", "portuguese" -> (in, options) -> snowball(in, language); // Lucene has others of these names
      default -> named(language);
    };
  }

  /** "light_french" is Lucene's frenchLightStem, "czech" its czechStem; the rest are Snowball's. */
  private static Filter named(String language) {
    String name = language.replaceFirst("^(light|minimal)_(.+)$", "$2$1") + "_stem";
    return Lucene.has(name) ? Lucene.filter(name) : (in, options) -> snowball(in, language);
  }

  private static TokenStream snowball(TokenStream in, String language) {
    return new SnowballFilter(in, language.substring(0, 1).toUpperCase(Locale.ROOT) + language.substring(1));
  }
}
