package reasonrank.embedded;

import static org.elasticsearch.plugins.AnalysisPlugin.requiresAnalysisSettings;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntPredicate;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.classic.ClassicTokenizer;
import org.apache.lucene.analysis.core.KeywordTokenizer;
import org.apache.lucene.analysis.core.LetterTokenizer;
import org.apache.lucene.analysis.core.WhitespaceTokenizer;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.ngram.EdgeNGramTokenizer;
import org.apache.lucene.analysis.ngram.NGramTokenizer;
import org.apache.lucene.analysis.path.PathHierarchyTokenizer;
import org.apache.lucene.analysis.path.ReversePathHierarchyTokenizer;
import org.apache.lucene.analysis.pattern.PatternTokenizer;
import org.apache.lucene.analysis.pattern.SimplePatternSplitTokenizer;
import org.apache.lucene.analysis.pattern.SimplePatternTokenizer;
import org.apache.lucene.analysis.standard.StandardAnalyzer;
import org.apache.lucene.analysis.th.ThaiTokenizer;
import org.apache.lucene.analysis.util.CharTokenizer;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;

/** Tokenizers; `standard` is in the server itself. */
final class Tokenizers {
  static Map<String, AnalysisProvider<TokenizerFactory>> all() {
    var all = new HashMap<String, AnalysisProvider<TokenizerFactory>>();
    all.put("char_group", requiresAnalysisSettings(provider(options ->
        CharTokenizer.fromSeparatorCharPredicate(anyOf(options.words("tokenize_on_chars"))))));
    all.put("classic", provider(options -> new ClassicTokenizer()));
    all.put("edge_ngram", provider(Tokenizers::edgeNgram));
    all.put("keyword", provider(options -> new KeywordTokenizer()));
    all.put("letter", provider(options -> new LetterTokenizer()));
    all.put("ngram", provider(Tokenizers::ngram));
    all.put("path_hierarchy", provider(Tokenizers::pathHierarchy));
    all.put("pattern", provider(options -> new PatternTokenizer(options.pattern("\\W+"), options.number("group", -1))));
    all.put("simple_pattern", provider(options -> new SimplePatternTokenizer(options.text("pattern", ""))));
    all.put("simple_pattern_split", provider(options -> new SimplePatternSplitTokenizer(options.text("pattern", ""))));
    all.put("thai", provider(options -> new ThaiTokenizer()));
    all.put("uax_url_email", provider(Tokenizers::urlEmail));
    all.put("whitespace", provider(options -> new WhitespaceTokenizer(maxTokenLength(options))));
    return all;
  }

  private static AnalysisProvider<TokenizerFactory> provider(Function<Options, Tokenizer> make) {
    return (index, environment, name, settings) -> {
      Options options = new Options(index, environment, settings);
      if (!settings.isEmpty()) {
        make.apply(options); // wrong settings fail when the index is created, not at its first document
      }
      return TokenizerFactory.newFactory(name, () -> make.apply(options));
    };
  }

  private static int maxTokenLength(Options options) {
    return options.number("max_token_length", StandardAnalyzer.DEFAULT_MAX_TOKEN_LENGTH);
  }

  private static Tokenizer urlEmail(Options options) {
    UAX29URLEmailTokenizer tokenizer = new UAX29URLEmailTokenizer();
    tokenizer.setMaxTokenLength(maxTokenLength(options));
    return tokenizer;
  }

  private static Tokenizer pathHierarchy(Options options) {
    char delimiter = options.character("delimiter", '/');
    char replacement = options.character("replacement", delimiter);
    int skip = options.number("skip", 0);
    return options.flag("reverse", false)
        ? new ReversePathHierarchyTokenizer(delimiter, replacement, skip)
        : new PathHierarchyTokenizer(delimiter, replacement, skip);
  }

  private static Tokenizer ngram(Options options) {
    IntPredicate kept = kept(options);
    return new NGramTokenizer(options.number("min_gram", 1), options.maxGram()) {
      @Override
      protected boolean isTokenChar(int character) {
        return kept.test(character);
      }
    };
  }

  private static Tokenizer edgeNgram(Options options) {
    IntPredicate kept = kept(options);
    return new EdgeNGramTokenizer(options.number("min_gram", 1), options.number("max_gram", 2)) {
      @Override
      protected boolean isTokenChar(int character) {
        return kept.test(character);
      }
    };
  }

  private static IntPredicate kept(Options options) {
    List<String> kinds = options.words("token_chars");
    String custom = options.text("custom_token_chars", "");
    return kinds.isEmpty() ? character -> true : anyOf(kinds).or(character -> custom.indexOf(character) >= 0);
  }

  /** Characters of any of these kinds; a kind that has no name is a character itself. */
  private static IntPredicate anyOf(List<String> kinds) {
    return kinds.stream().map(Tokenizers::kind).reduce(character -> false, IntPredicate::or);
  }

  private static IntPredicate kind(String name) {
    return switch (name) {
      case "letter" -> Character::isLetter;
      case "digit" -> Character::isDigit;
      case "whitespace" -> Character::isWhitespace;
      case "punctuation" -> character -> Character.toString(character).matches("\\p{P}");
      case "symbol" -> character -> Character.toString(character).matches("\\p{S}");
      case "custom" -> character -> false;
      default -> character -> name.indexOf(character) >= 0;
    };
  }
}
