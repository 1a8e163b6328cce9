package reasonrank.embedded;

import java.util.HashMap;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.lucene.analysis.TokenFilterFactory;
import reasonrank.embedded.TokenFilters.Filter;

/** Lucene's filters by name, where they need no settings: "porter_stem" is its porterStem. */
final class Lucene {
  private static final Set<String> NAMES = TokenFilterFactory.availableTokenFilters().stream()
      .map(name -> name.toLowerCase(Locale.ROOT)).collect(Collectors.toSet());

  static boolean has(String name) {
    return NAMES.contains(name.replace("_", ""));
  }

  static Filter filter(String name) {
    TokenFilterFactory factory = TokenFilterFactory.forName(name.replace("_", ""), new HashMap<>());
    return (in, options) -> factory.create(in);
  }
}
